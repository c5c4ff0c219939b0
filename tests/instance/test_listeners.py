"""What whoever listens to a session host hears, and what stays in the vault until it was heard."""

import asyncio

from hosts import held

from homing.instance.host import SessionHost
from homing.instance.notify.events import MessageReceived, MessageSent, Status, StatusChanged
from homing.instance.session.messages import Message


async def test_inbound_messages_are_told_in_order_and_then_acknowledged(world, eventually):
    await world.link("s1")
    world.network.judge.deliver("s1", "62899", "waiting", 0.0)
    await held(world.host())
    world.network.exchange._told(world.network.judge.deliver("s1", "62899", "fresh", 0.0))
    await eventually(lambda: not world.network.judge.devices["s1"].waiting)
    assert [event.text for event in world.events if isinstance(event, MessageReceived)] == ["waiting", "fresh"]


async def test_what_comes_in_is_in_the_vault_before_whatsapp_hears_of_it(world, eventually):
    await world.link("s1")
    await held(world.host())
    world.database.open.clear()
    world.network.exchange._told(world.network.judge.deliver("s1", "62899", "hello", 0.0))
    await asyncio.sleep(0.02)
    assert len(world.network.judge.devices["s1"].waiting) == 1
    assert not any(isinstance(event, MessageReceived) for event in world.events)
    world.database.open.set()
    await eventually(lambda: not world.network.judge.devices["s1"].waiting)
    await eventually(lambda: any(isinstance(event, MessageReceived) for event in world.events))


async def test_a_vault_that_is_away_is_waited_for_with_what_came_in(world, eventually):
    await world.link("s1")
    await held(world.host())
    world.database.away = True
    world.network.exchange._told(world.network.judge.deliver("s1", "62899", "hello", 0.0))
    await asyncio.sleep(0.05)
    assert len(world.network.judge.devices["s1"].waiting) == 1
    world.database.away = False
    await eventually(lambda: not world.network.judge.devices["s1"].waiting)
    assert world.network.judge.stats().logins == 1


async def test_a_holder_whose_grant_is_over_takes_nothing_in(world, eventually):
    """WhatsApp keeps the message, and the next holder has it."""
    await world.link("s1")
    one = world.host()
    await held(one)
    await world.grant_elsewhere()
    world.network.exchange._told(world.network.judge.deliver("s1", "62899", "hello", 0.0))
    await eventually(lambda: one.find("s1") is None)
    assert len(world.network.judge.devices["s1"].waiting) == 1
    assert not any(isinstance(event, MessageReceived) for event in world.events)
    await held(world.host("http://two"))
    await eventually(lambda: not world.network.judge.devices["s1"].waiting)
    await eventually(lambda: [e.text for e in world.events if isinstance(e, MessageReceived)] == ["hello"])


async def test_what_its_holder_did_not_live_to_tell_the_next_one_tells_before_anything_new(world, eventually):
    await world.link("s1")
    one = world.host()
    listener = Refusing(one)
    await held(one)
    for n in range(3):
        world.network.exchange._told(world.network.judge.deliver("s1", "62899", str(n), 0.0))
    await eventually(lambda: not world.network.judge.devices["s1"].waiting)
    assert listener.kept == []
    world.kill(one)
    world.network.judge.deliver("s1", "62899", "new", 0.0)
    await held(world.host("http://two"))
    await eventually(lambda: len([e for e in world.events if isinstance(e, MessageReceived)]) == 4)
    assert [e.text for e in world.events if isinstance(e, MessageReceived)] == ["0", "1", "2", "new"]


async def test_what_was_told_and_is_offered_again_is_told_once(world, eventually):
    """The word to WhatsApp was lost: the message comes again, over the next connection."""
    await world.link("s1")
    await held(world.host())
    judge = world.network.judge
    received, judge.received = judge.received, lambda *_: None
    world.network.exchange._told(judge.deliver("s1", "62899", "hello", 0.0))
    await eventually(lambda: any(isinstance(event, MessageReceived) for event in world.events))
    judge.received = received
    world.network.wires[-1].cut()
    await eventually(lambda: not judge.devices["s1"].waiting)
    await asyncio.sleep(0.02)
    assert [e.text for e in world.events if isinstance(e, MessageReceived)] == ["hello"]


async def test_an_inbound_message_that_could_not_be_told_stays_in_the_vault(world, eventually, logged):
    await world.link("s1")
    host = world.host()

    async def fail(event: object) -> None:
        if isinstance(event, MessageReceived):
            raise OSError("no room")

    object.__setattr__(host._opening._around, "on_event", fail)
    await held(host)
    world.network.exchange._told(world.network.judge.deliver("s1", "62899", "hello", 0.0))
    await eventually(lambda: "no room" in [line.get("error") for line in logged])
    await eventually(lambda: not world.network.judge.devices["s1"].waiting)
    grant = await world.grant_elsewhere()
    assert [message.message_id for message in grant.untold] == ["3A000000000000000001"]


class Refusing:
    """A listener that keeps inbound messages only while it has room."""

    def __init__(self, host: SessionHost) -> None:
        self.room = False
        self.asked = 0
        self.kept: list[str] = []
        object.__setattr__(host._opening._around, "on_event", self)

    async def __call__(self, event: object) -> None:
        if isinstance(event, MessageReceived):
            self.asked += 1
            if not self.room:
                raise OSError("no room")
            self.kept.append(event.text)


async def test_what_a_listener_refused_is_given_to_it_again_in_order(world, eventually, logged):
    await world.link("s1")
    host = world.host(offer_again_s=0.002)
    listener = Refusing(host)
    await held(host)
    for n in range(5):
        world.network.exchange._told(world.network.judge.deliver("s1", "62899", str(n), 0.0))
    await eventually(lambda: listener.asked > 3)
    listener.room = True
    await eventually(lambda: listener.kept == ["0", "1", "2", "3", "4"])
    said = ("Inbound messages wait in the vault for their listener", "no room")
    assert [(line["event"], line["error"]) for line in logged] == [said]
    assert world.network.judge.stats().logins == 1, "nothing of that costs the connection"


async def test_a_message_refused_while_the_connection_is_lost_is_told_once_and_in_order(world, eventually):
    await world.link("s1")
    host = world.host(offer_again_s=0.002)
    listener = Refusing(host)
    await held(host)
    for n in range(5):
        world.network.exchange._told(world.network.judge.deliver("s1", "62899", str(n), 0.0))
    await eventually(lambda: listener.asked > 0)
    world.network.wires[-1].cut()
    await eventually(lambda: world.network.judge.stats().logins == 2)
    listener.room = True
    await eventually(lambda: listener.kept == ["0", "1", "2", "3", "4"])
    await eventually(lambda: not world.network.judge.devices["s1"].waiting)


async def test_messages_beyond_what_may_wait_come_over_the_next_connection(world, eventually):
    await world.link("s1")
    host = world.host(offer_again_s=0.002, inbound_waiting_max=2)
    listener = Refusing(host)
    session = await held(host)
    for n in range(5):
        world.network.exchange._told(world.network.judge.deliver("s1", "62899", str(n), 0.0))
    await eventually(lambda: listener.asked > 0)
    assert session.inbox.waiting == 2
    listener.room = True
    await eventually(lambda: listener.kept == ["0", "1", "2", "3", "4"])
    await eventually(lambda: not world.network.judge.devices["s1"].waiting)


async def test_a_reconnection_is_told_apart_from_the_first_connection(world, eventually):
    await world.link("s1")
    session = await held(world.host())
    world.network.wires[-1].cut()
    await eventually(lambda: world.network.judge.stats().logins == 2 and session.status is Status.CONNECTED)
    said = [(event.status, event.reconnected) for event in world.events if isinstance(event, StatusChanged)]
    assert said == [(Status.CONNECTED, False), (Status.DISCONNECTED, False), (Status.CONNECTED, True)]


async def test_listeners_hear_of_sent_messages(world, eventually):
    await world.link("s1")
    host = world.host()
    await held(host)
    await host.send("s1", Message("3EB0AAAA", "62811", "hi"))
    await eventually(lambda: any(isinstance(event, MessageSent) for event in world.events))
