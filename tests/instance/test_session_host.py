"""The session host against the real judge, over wires in memory."""

import asyncio

import pytest
from hosts import held

from homing.instance.engine import Closed, EnginePairingCode, FrameRefused
from homing.instance.host import NotFound
from homing.instance.notify.events import CodeIssued, MessageSent, SessionLeft, Status, StatusChanged
from homing.instance.opening import InstanceFull, OpenRequest
from homing.instance.policy import HostPolicy
from homing.instance.session.messages import EngineSent, EngineUnknown, Message, NotConnected, Overloaded
from homing.model.instances.vault import StaleEpoch
from homing.ports import StoreUnavailable


def message(name: str = "3EB0AAAA", text: str = "hi") -> Message:
    return Message(name, "62811", text)


async def not_in_the_vault(world) -> bool:
    return not (await world.stored("s1")).has_login


# Coming up


async def test_a_linked_session_is_connected_when_start_returns(world):
    await world.link("s1")
    session = await held(world.host())
    assert (session.status, session.phone_number, session.epoch) == (Status.CONNECTED, "62810", 1)


async def test_starting_a_held_session_changes_nothing(world):
    await world.link("s1")
    host = world.host()
    session = await held(host)
    assert await held(host) is session
    assert await held(host, epoch=1) is session
    assert world.network.judge.stats().logins == 1


async def test_starting_a_held_session_at_a_higher_epoch_opens_it_anew(world):
    await world.link("s1")
    host = world.host()
    first = await held(host)
    second = await held(host, epoch=5)
    assert (first.status, second.status, second.epoch) == (Status.DISCONNECTED, Status.CONNECTED, 5)
    assert host.find("s1") is second


async def test_a_grant_not_above_the_last_is_refused(world):
    await world.link("s1")
    one, two = world.host("http://one"), world.host("http://two")
    await held(one, epoch=4)
    assert await two.start("s1", 1, 4) == StaleEpoch(4)
    assert await one.start("s1", 1, 3) == StaleEpoch(4)
    assert two.find("s1") is None
    assert await one.send("s1", message()) == EngineSent("3EB0AAAA"), "the holder is not disturbed"


async def test_a_session_without_a_login_shows_a_code_and_connects_once_it_is_scanned(world, eventually):
    host = world.host()
    session = await held(host, "new")
    assert session.status is Status.QR_SCANNING
    assert session.pairing is not None
    world.network.exchange._link({"code": session.pairing.code})
    await eventually(lambda: session.status is Status.CONNECTED)
    assert session.pairing is None
    assert await host.send("new", message()) == EngineSent("3EB0AAAA")
    assert (await world.stored("new")).has_login
    said = [event.status for event in world.events if isinstance(event, StatusChanged)]
    assert said == [Status.QR_SCANNING, Status.AUTHENTICATED, Status.CONNECTED]
    assert [event.code for event in world.events if isinstance(event, CodeIssued)]


async def test_a_code_that_nobody_scanned_is_replaced_before_it_is_void(world, eventually):
    world.network.judge.rules.code_ttl_s = 0.02
    session = await held(world.host(), "new")
    first = session.pairing
    await eventually(lambda: session.pairing != first)
    assert session.status is Status.QR_SCANNING


async def test_a_login_that_takes_too_long_is_reported_as_authenticated(world, eventually):
    world.network.judge.rules.login_delay_s = 0.1
    await world.link("s1")
    session = await held(world.host(login_wait_s=0.01))
    assert session.status is Status.AUTHENTICATED
    await eventually(lambda: session.status is Status.CONNECTED)


async def test_no_more_sessions_log_in_within_a_second_than_may(world, eventually):
    names = [f"s{n}" for n in range(5)]
    await world.link(*names)
    host = world.host(logins_per_s=3)
    starting = asyncio.create_task(host.start_many([OpenRequest(name) for name in names]))
    await eventually(lambda: world.network.judge.stats().logins == 3)
    await asyncio.sleep(0.1)
    assert world.network.judge.stats().logins == 3
    assert [session.status for session in await starting] == [Status.CONNECTED] * 5


async def test_a_throttled_login_is_tried_again_after_the_pause_that_whatsapp_names(world, eventually):
    world.network.judge.rules.logins_per_second = 1
    await world.link("s1")
    await world.link("s2")
    host = world.host(login_wait_s=0.02)
    await held(host, "s1")
    second = await held(host, "s2")
    assert second.status is Status.AUTHENTICATED
    await eventually(lambda: second.status is Status.CONNECTED)


async def test_the_host_takes_no_more_sessions_than_it_may(world):
    await world.link("s1")
    host = world.host(sessions_max=1)
    await held(host)
    assert await host.start("s2", 1) == InstanceFull()
    assert (await world.stored("s2")).epoch == 0, "no epoch is taken for a session that is not held"


# Sending


async def test_a_send_is_acknowledged_only_after_whatsapp_has_it(world):
    await world.link("s1")
    host = world.host()
    await held(host)
    assert await host.send("s1", message()) == EngineSent("3EB0AAAA")
    (delivery,) = world.network.ledger
    assert delivery.label == {"instance_url": "http://one", "epoch": 1}


async def test_an_unknown_session_is_not_found(world):
    host = world.host()
    await host.lease.trusted()
    assert await host.send("s9", message()) == NotFound()


async def test_a_send_under_another_epoch_is_refused_and_nothing_leaves(world):
    await world.link("s1")
    host = world.host()
    await held(host, epoch=3)
    assert await host.send("s1", message(), epoch=2) == StaleEpoch(3)
    assert await host.send("s1", message(), epoch=4) == StaleEpoch(3)
    assert world.network.ledger == []
    assert await host.send("s1", message(), epoch=3) == EngineSent("3EB0AAAA")


async def test_a_higher_epoch_in_a_send_makes_the_host_look_and_let_go(world):
    await world.link("s1")
    host = world.host()
    await held(host, epoch=3)
    await world.credentials.open("s1", epoch=4, holder=world.host("http://two").holder)
    assert await host.send("s1", message(), epoch=4) == StaleEpoch(3)
    assert host.find("s1") is None


async def test_a_holder_whose_grant_was_superseded_finds_out_when_it_reserves(world):
    await world.link("s1")
    host = world.host()
    await held(host)
    await world.credentials.open("s1", epoch=None, holder=world.host("http://two").holder)
    assert await host.send("s1", message()) == StaleEpoch(2)
    assert host.find("s1") is None
    assert world.network.ledger == []


async def test_a_restricted_recipient_is_refused_with_its_code(world):
    await world.link("s1")
    world.network.judge.restricted.add("62811")
    host = world.host()
    await held(host)
    outcome = await host.send("s1", message())
    assert isinstance(outcome, FrameRefused)
    assert outcome.code == 463


async def test_messages_without_acknowledgement_are_bounded(world):
    await world.link("s1")
    host = world.host(unacknowledged_max=2)
    await held(host)
    await host.send("s1", message("3EB00000"))
    world.network.swallow_answers = True
    waiting = [asyncio.create_task(host.send("s1", message(f"3EB0000{n}"))) for n in (1, 2)]
    await asyncio.sleep(0.005)
    assert await host.send("s1", message("3EB00003")) == Overloaded()
    for send in waiting:
        send.cancel()


async def test_a_silent_whatsapp_makes_the_outcome_unknown(world):
    await world.link("s1")
    host = world.host(acknowledge_within_s=0.02)
    await held(host)
    world.network.swallow_answers = True
    outcome = await host.send("s1", message())
    assert isinstance(outcome, EngineUnknown)
    assert "outcome unknown" in outcome.reason


# A lost connection


async def test_a_lost_connection_is_made_again_under_the_same_grant(world, eventually):
    await world.link("s1")
    session = await held(world.host())
    world.network.wires[-1].cut()
    await eventually(lambda: session.status is Status.DISCONNECTED)
    await eventually(lambda: session.status is Status.CONNECTED)
    assert session.epoch == 1


async def test_a_vault_that_does_not_answer_for_a_while_costs_no_further_login(world, eventually, monkeypatch):
    await world.link("s1")
    session = await held(world.host())
    refusals = iter([StoreUnavailable("lost on the way")] * 3)
    save = world.credentials.save

    async def saved(*args):
        if (refusal := next(refusals, None)) is not None:
            raise refusal
        return await save(*args)

    monkeypatch.setattr(world.credentials, "save", saved)
    world.network.wires[-1].cut()
    await eventually(lambda: session.status is Status.DISCONNECTED)
    await eventually(lambda: session.status is Status.CONNECTED)
    assert next(refusals, None) is None, "it was refused as often as could be"
    assert len(world.network.wires) == 2, "one login before, one after"


async def test_the_end_of_an_earlier_connection_does_not_end_the_present_one(world, eventually):
    await world.link("s1")
    session = await held(world.host())
    hear = session._connection._number
    world.network.wires[-1].cut()
    await eventually(lambda: session.status is Status.DISCONNECTED)
    await eventually(lambda: session.status is Status.CONNECTED)
    session._connection._arrived(hear, Closed())
    assert session.status is Status.CONNECTED


async def test_a_session_given_up_while_it_was_connecting_logs_in_no_more(world, eventually):
    await world.link("s1")
    host = world.host()
    session = await held(host)
    world.network.way_free.clear()
    world.network.wires[-1].cut()
    await eventually(lambda: session.status is Status.DISCONNECTED)
    await asyncio.sleep(0.015)
    await world.credentials.open("s1", epoch=2, holder=world.host("http://two").holder)
    await host.send("s1", message(), epoch=2)
    world.network.way_free.set()
    await asyncio.sleep(0.005)
    assert len(world.network.wires) == 1
    assert world.network.judge.stats().logins == 1


async def test_a_connection_that_does_not_return_leaves_the_outcome_unknown(world):
    await world.link("s1")
    host = world.host(resend_within_s=0.03)
    await held(host)
    world.network.swallow_answers = True
    send = asyncio.create_task(host.send("s1", message()))
    await asyncio.sleep(0.01)
    world.network.unreachable = True
    world.network.wires[-1].cut()
    outcome = await send
    assert isinstance(outcome, EngineUnknown)


async def test_a_session_superseded_while_it_was_offline_does_not_come_back(world, eventually):
    await world.link("s1")
    one, two = world.host("http://one"), world.host("http://two")
    await held(one)
    world.network.unreachable = True
    world.network.wires[-1].cut()
    await asyncio.sleep(0.01)
    await world.credentials.open("s1", epoch=None, holder=two.holder)
    world.network.unreachable = False
    await eventually(lambda: one.find("s1") is None)
    assert world.network.judge.stats().logins == 1


# Other holders


async def test_the_replaced_holder_lets_go_when_the_epoch_is_higher(world, eventually):
    await world.link("s1")
    one, two = world.host("http://one"), world.host("http://two")
    await held(one)
    await held(two)
    await eventually(lambda: one.find("s1") is None)
    await asyncio.sleep(0.03)
    assert world.network.judge.stats().evictions == 1, "it never reconnects by itself"
    assert await two.send("s1", message()) == EngineSent("3EB0AAAA")
    left = [event for event in world.events if isinstance(event, SessionLeft)]
    assert [(event.about.epoch, event.current_epoch) for event in left] == [(1, 2)]


async def test_a_stranger_with_our_keys_makes_the_session_an_error(world, eventually):
    await world.link("s1")
    host = world.host()
    session = await held(host)
    await world.network.dial(lambda _: None, lambda: None)
    stranger = world.network.wires[-1]
    credentials = dict(session.grant.login)
    stranger.send({"do": "login", "ref": 1, "credentials": credentials, "next_counter": 1000})
    await eventually(lambda: session.status is Status.ERROR)
    await asyncio.sleep(0.03)
    assert (session.error, host.find("s1")) == ("replaced", session)
    assert await host.send("s1", message()) == NotConnected(Status.ERROR)
    assert world.network.judge.stats().evictions == 1, "it never reconnects by itself"


async def test_a_session_in_error_is_taken_back_by_a_new_grant(world, eventually):
    await world.link("s1")
    host = world.host()
    session = await held(host)
    session._end(Status.ERROR, "replaced")
    again = await held(host)
    assert (again.status, again.epoch) == (Status.CONNECTED, 2)


async def test_a_frame_on_the_wire_of_an_evicted_holder_is_unknown(world, eventually):
    await world.link("s1")
    one, two = world.host("http://one"), world.host("http://two")
    await held(one)
    await one.send("s1", message("3EB00000"))
    world.network.swallow_answers = True
    send = asyncio.create_task(one.send("s1", message("3EB00001")))
    await eventually(lambda: world.network.swallowed == 1)
    world.network.swallow_answers = False
    await held(two)
    assert isinstance(await send, EngineUnknown)


async def test_a_login_outdated_by_another_holder_does_not_evict_it(world, eventually):
    """The epoch was read before the other's grant, the login arrives after it: WhatsApp refuses old credentials."""
    await world.link("s1")
    one, two = world.host("http://one"), world.host("http://two")
    await held(one)
    world.network.wires[-1].cut()
    real = world.credentials.epoch

    async def read_before_the_grant(session_id: str) -> int:
        world.credentials.epoch = real
        await held(two)
        return 1

    world.credentials.epoch = read_before_the_grant
    await eventually(lambda: one.find("s1") is None)
    assert world.network.judge.stats().evictions == 0
    assert await two.send("s1", message()) == EngineSent("3EB0AAAA")


# The end of a session


async def test_a_removed_device_is_logged_out_and_its_login_deleted(world, eventually):
    await world.link("s1")
    host = world.host()
    session = await held(host)
    world.network.exchange._told(world.network.judge.remove_device("s1"))
    await eventually(lambda: not_in_the_vault(world))
    assert session.status is Status.LOGGED_OUT
    assert await host.send("s1", message()) == NotConnected(Status.LOGGED_OUT)
    again = await held(host)
    assert (again.status, again.epoch) == (Status.QR_SCANNING, 2), "the epoch outlives the login"


async def test_a_device_that_whatsapp_does_not_know_keeps_its_login(world):
    await world.link("s1")
    world.network.judge.devices.clear()
    session = await held(world.host())
    assert session.status is Status.LOGGED_OUT
    assert (await world.stored("s1")).has_login


async def test_a_logged_out_session_pairs_anew_when_a_code_is_asked_for(world):
    await world.link("s1")
    world.network.judge.devices.clear()
    host = world.host()
    await held(host)
    code = await host.renew_code("s1")
    assert isinstance(code, EnginePairingCode)
    session = host.find("s1")
    assert (session.status, session.epoch, session.pairing) == (Status.QR_SCANNING, 2, code)


async def test_logout_unlinks_the_device_and_deletes_its_login(world):
    await world.link("s1")
    host = world.host()
    await held(host)
    session = await host.logout("s1")
    assert session.status is Status.LOGGED_OUT
    assert not (await world.stored("s1")).has_login
    assert world.network.judge.devices["s1"].removed


async def test_a_stopped_session_keeps_its_login_and_is_held_by_nobody(world, eventually):
    await world.link("s1")
    host = world.host()
    await held(host)
    assert await host.stop("s1") is True
    assert await host.stop("s1") is False
    stored = await world.stored("s1")
    assert (stored.holder, stored.has_login, stored.epoch) == (None, True, 1)
    await eventually(lambda: world.network.judge.stats().connected == 0)


@pytest.mark.parametrize("act", ["stop", "logout"])
async def test_whoever_means_an_earlier_holding_ends_nothing(world, act):
    await world.link("s1")
    host = world.host()
    session = await held(host, epoch=4)
    assert await getattr(host, act)("s1", epoch=3) == StaleEpoch(4)
    assert (host.find("s1"), session.status) == (session, Status.CONNECTED)
    assert await host.send("s1", message()) == EngineSent("3EB0AAAA")
    assert await getattr(host, act)("s1", epoch=4) != StaleEpoch(4)
    assert session.status is not Status.CONNECTED


@pytest.mark.parametrize("end", [lambda host: host.stop("s1"), lambda host: host.shutdown()])
async def test_a_stop_lets_a_slow_listener_hear_of_all_that_was_sent(world, end):
    await world.link("s1")
    host = world.host()
    heard = []

    async def listen(event: object) -> None:
        await asyncio.sleep(0.002)
        heard.append(event)

    object.__setattr__(host._opening._around, "on_event", listen)
    await held(host)
    for n in range(5):
        await host.send("s1", message(f"3EB0000{n}"))
    await end(host)
    assert [event.message_id for event in heard if isinstance(event, MessageSent)] == [f"3EB0000{n}" for n in range(5)]


async def test_a_stop_does_not_wait_for_ever(world):
    await world.link("s1")
    host = world.host(stop_within_s=0.02)
    await held(host)
    world.network.swallow_answers = True
    send = asyncio.create_task(host.send("s1", message()))
    await asyncio.sleep(0.005)
    await asyncio.wait_for(host.stop("s1"), 0.5)
    assert isinstance(await send, EngineUnknown)


# Restoring


async def test_a_boot_restores_what_the_same_address_held_under_new_epochs(world):
    for name in ("s1", "s2", "s3"):
        await world.link(name)
    first, other = world.host("http://one"), world.host("http://two")
    await held(first, "s1")
    await held(first, "s2")
    await held(other, "s3")
    await first.shutdown()
    again = world.host("http://one")
    await again.restore()
    assert {(session.session_id, session.epoch, session.status) for session in again.sessions()} == {
        ("s1", 2, Status.CONNECTED),
        ("s2", 2, Status.CONNECTED),
    }


async def test_a_stopped_session_is_not_restored(world):
    await world.link("s1")
    first = world.host("http://one")
    await held(first)
    await first.stop("s1")
    again = world.host("http://one")
    await again.restore()
    assert again.sessions() == []


async def test_a_restored_session_is_in_the_list_before_it_is_up(world):
    await world.link("s1")
    first = world.host("http://one")
    await held(first)
    await first.shutdown()
    world.network.judge.rules.login_delay_s = 0.03
    again = world.host("http://one")
    restoring = asyncio.create_task(again.restore())
    await asyncio.sleep(0.01)
    (session,) = again.sessions()
    assert session.status is None
    assert await again.send("s1", message()) == NotConnected(None)
    await restoring
    assert session.status is Status.CONNECTED


async def test_a_session_granted_elsewhere_during_the_boot_is_left_there(world):
    await world.link("s1")
    first, two = world.host("http://one"), world.host("http://two")
    await held(first)
    await first.shutdown()
    again = world.host("http://one")
    holdings = await world.credentials.held_by("http://one")

    async def read_before_the_grant(url: str) -> list:
        await held(two)
        return holdings

    world.credentials.held_by = read_before_the_grant
    await again.restore()
    assert again.sessions() == []
    assert await two.send("s1", message()) == EngineSent("3EB0AAAA")


async def test_a_restart_that_did_not_hear_what_it_was_given_asks_again(world):
    await world.link("s1")
    first = world.host("http://one")
    await held(first)
    await first.shutdown()
    again = world.host("http://one")
    await again.lease.trusted()
    world.database.mute = True
    with pytest.raises(StoreUnavailable):
        await again.restore()
    world.database.mute = False
    assert again.sessions() == []
    await again.restore()
    assert {session.session_id: session.status for session in again.sessions()} == {"s1": Status.CONNECTED}


async def test_only_what_nobody_holds_is_adopted(world):
    for name in ("free", "elsewhere", "running"):
        await world.link(name)
    one, two = world.host("http://one"), world.host("http://two")
    await held(two, "elsewhere")
    await held(one, "running")
    await one.adopt({"free": 9, "elsewhere": 9, "running": 9, "never-linked": 9})
    assert {session.session_id: session.epoch for session in one.sessions()} == {"running": 1, "free": 1}
    assert one.find("free").status is Status.CONNECTED
    assert one.find("free").workspace_id == 9
    assert two.find("elsewhere").status is Status.CONNECTED


async def test_no_more_is_adopted_than_the_host_may_hold(world):
    for n in range(4):
        await world.link(f"s{n}")
    host = world.host(sessions_max=2)
    await held(host, "s0")
    await host.adopt({f"s{n}": None for n in range(4)})
    assert len(host.sessions()) == 2


# Names


@pytest.mark.parametrize(("session_id", "workspace"), [("webjs_7_1700_abc", 7), ("other", None)])
async def test_the_workspace_of_a_restored_session_is_read_from_its_id(world, session_id, workspace):
    await world.link(session_id)
    first = world.host("http://one")
    await held(first, session_id)
    await first.shutdown()
    again = world.host("http://one")
    await again.restore()
    assert [session.workspace_id for session in again.sessions()] == [workspace]


async def test_message_ids_look_like_whatsapps_own(world):
    ids = {world.host().new_message_id() for _ in range(1)}
    assert all(name.startswith("3EB0") and len(name) == 22 and name.isupper() for name in ids)


@pytest.mark.parametrize("failures", [0, 3, 10, 10_000])
def test_however_long_whatsapp_was_away_a_session_tries_again_within_seconds(failures):
    policy = HostPolicy()
    assert policy.reconnect_after_s(failures, 1.0) <= 15.0
    assert policy.reconnect_after_s(failures, 0.0) >= 0.1
