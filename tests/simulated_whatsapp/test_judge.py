"""The judge's rules, one claim each."""

from itertools import count

import pytest

from simulated_whatsapp.core import (
    Acknowledged,
    DeviceCredentials,
    DeviceRemoved,
    Dropped,
    InboundMessage,
    Judge,
    Linked,
    LoggedIn,
    Paired,
    Push,
    Refusal,
    Refused,
    Replaced,
    Rules,
)

NOW = 1_700_000_000.0
LABEL = {"instance_url": "http://one", "epoch": 1}


def judge(**rules: float | bool) -> Judge:
    numbers = count(1)
    return Judge(Rules(**rules), draw=lambda length: f"{next(numbers):0{length}d}")


def linked(whatsapp: Judge, session_id: str = "s1") -> DeviceCredentials:
    return whatsapp.preregister([(session_id, "6281100")])[0]


def logged_in(whatsapp: Judge, connection: str = "c1", session_id: str = "s1") -> DeviceCredentials:
    given = linked(whatsapp, session_id)
    assert isinstance(whatsapp.login(given, 1_000_000, LABEL, connection, NOW), LoggedIn)
    return given


def said(whatsapp: Judge, connection: str, message_id: str, counter: int, recipient: str = "62811", text: str = "hi"):
    return whatsapp.send(connection, message_id, recipient, text, counter, NOW)


def test_a_newcomer_evicts_the_incumbent():
    whatsapp = judge()
    given = logged_in(whatsapp, "c1")
    answer = whatsapp.login(given, 1, LABEL, "c2", NOW)
    assert isinstance(answer, LoggedIn)
    assert answer.pushes == (Push("c1", Replaced()),)
    assert whatsapp.stats().connected == 1


def test_frames_of_an_evicted_connection_are_dropped_without_an_answer():
    whatsapp = judge()
    given = logged_in(whatsapp, "c1")
    whatsapp.login(given, 1, LABEL, "c2", NOW)
    assert said(whatsapp, "c1", "A", 1) == Dropped()
    assert isinstance(said(whatsapp, "c2", "A", 1), Acknowledged)
    assert whatsapp.stats().delivered == 1


def test_logging_in_again_on_the_same_connection_evicts_nobody():
    whatsapp = judge()
    given = logged_in(whatsapp, "c1")
    answer = whatsapp.login(given, 1, LABEL, "c1", NOW)
    assert isinstance(answer, LoggedIn)
    assert answer.pushes == ()
    assert isinstance(said(whatsapp, "c1", "A", 1), Acknowledged)


def test_a_connection_that_never_logged_in_is_told_so():
    assert said(judge(), "c9", "A", 1) == Refused(Refusal.NOT_LOGGED_IN)


@pytest.mark.parametrize(
    ("secret", "version", "next_counter", "reason"),
    [
        ("wrong", 1, 10, Refusal.LOGGED_OUT),
        (None, 0, 10, Refusal.STALE_CREDENTIALS),
        (None, 1, 5, Refusal.STALE_CREDENTIALS),
        (None, 1, 4, Refusal.STALE_CREDENTIALS),
    ],
)
def test_a_login_with_old_or_foreign_state_is_refused(secret, version, next_counter, reason):
    whatsapp = judge()
    given = logged_in(whatsapp)
    said(whatsapp, "c1", "A", 5)
    tried = DeviceCredentials("s1", given.phone, secret or given.secret, version)
    assert whatsapp.login(tried, next_counter, LABEL, "c2", NOW) == Refused(reason)
    assert isinstance(said(whatsapp, "c1", "B", 6), Acknowledged), "the incumbent stays"


def test_an_unknown_device_is_refused():
    tried = DeviceCredentials("nobody", "1", "x", 1)
    assert judge().login(tried, 1, None, "c1", NOW) == Refused(Refusal.UNKNOWN_DEVICE)


def test_renewed_credentials_outdate_older_copies_once_they_are_confirmed():
    whatsapp = judge()
    given = linked(whatsapp)
    answer = whatsapp.login(given, 1, LABEL, "c1", NOW)
    assert isinstance(answer, LoggedIn)
    assert isinstance(whatsapp.login(given, 1, LABEL, "c1", NOW), LoggedIn), "not saved yet: the old ones work"
    whatsapp.confirm("c1", answer.renewed.version)
    assert whatsapp.login(given, 1, LABEL, "c2", NOW) == Refused(Refusal.STALE_CREDENTIALS)
    assert isinstance(whatsapp.login(answer.renewed, 1, LABEL, "c2", NOW), LoggedIn)


def test_logins_beyond_the_rate_are_throttled_until_a_second_passed():
    whatsapp = judge(logins_per_second=2)
    given = [linked(whatsapp, f"s{n}") for n in range(3)]
    assert isinstance(whatsapp.login(given[0], 1, LABEL, "c0", NOW), LoggedIn)
    assert isinstance(whatsapp.login(given[1], 1, LABEL, "c1", NOW + 0.5), LoggedIn)
    refused = whatsapp.login(given[2], 1, LABEL, "c2", NOW + 0.9)
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.LOGIN_THROTTLED
    assert refused.retry_after_s > 0
    assert isinstance(whatsapp.login(given[2], 1, LABEL, "c2", NOW + 1.01), LoggedIn)


def test_a_slow_login_says_how_slow():
    whatsapp = judge(login_delay_s=2.5)
    answer = whatsapp.login(linked(whatsapp), 1, LABEL, "c1", NOW)
    assert isinstance(answer, LoggedIn)
    assert answer.delay_s == 2.5


def test_a_delivery_carries_the_label_of_its_login():
    whatsapp = judge()
    logged_in(whatsapp)
    answer = said(whatsapp, "c1", "A", 1, text="ünïcode")
    assert isinstance(answer, Acknowledged)
    assert answer.delivery is not None
    assert (answer.delivery.label, answer.delivery.text) == (LABEL, "ünïcode")
    assert answer.delivery.at == "2023-11-14T22:13:20.000Z"


@pytest.mark.parametrize("counter", [0, 4, 5])
def test_a_ratchet_counter_not_above_the_last_is_refused(counter):
    whatsapp = judge()
    logged_in(whatsapp)
    said(whatsapp, "c1", "A", 5)
    assert said(whatsapp, "c1", "B", counter) == Refused(Refusal.RATCHET_REGRESSED)
    assert isinstance(said(whatsapp, "c1", "B", 6), Acknowledged)


@pytest.mark.parametrize("counter", [1, 2, 9])
def test_a_repeat_is_acknowledged_and_not_delivered_again(counter):
    whatsapp = judge()
    logged_in(whatsapp)
    first = said(whatsapp, "c1", "A", 2)
    repeat = said(whatsapp, "c1", "A", counter)
    assert isinstance(first, Acknowledged)
    assert repeat == Acknowledged(first.at, None)


def test_a_repeat_is_recognised_across_logins():
    whatsapp = judge()
    given = logged_in(whatsapp)
    said(whatsapp, "c1", "A", 1)
    whatsapp.disconnected("c1")
    whatsapp.login(given, 2, LABEL, "c2", NOW)
    assert said(whatsapp, "c2", "A", 2) == Acknowledged("2023-11-14T22:13:20.000Z", None)


def test_the_same_id_to_another_recipient_is_another_message():
    whatsapp = judge()
    logged_in(whatsapp)
    said(whatsapp, "c1", "A", 1, recipient="62811")
    answer = said(whatsapp, "c1", "A", 2, recipient="62812")
    assert isinstance(answer, Acknowledged)
    assert answer.delivery is not None


def test_with_drop_repeats_off_a_repeat_is_delivered_again():
    whatsapp = judge(drop_repeats=False)
    logged_in(whatsapp)
    said(whatsapp, "c1", "A", 1)
    answer = said(whatsapp, "c1", "A", 1)
    assert isinstance(answer, Acknowledged)
    assert answer.delivery is not None


def test_a_restricted_recipient_is_refused_with_463():
    whatsapp = judge()
    whatsapp.restricted.add("62811")
    logged_in(whatsapp)
    assert said(whatsapp, "c1", "A", 1) == Refused(Refusal.RECIPIENT_RESTRICTED, code=463)
    assert isinstance(said(whatsapp, "c1", "A", 1, recipient="62812"), Acknowledged), "the counter was not used up"


def test_an_inbound_message_is_pushed_and_kept_until_acknowledged():
    whatsapp = judge()
    given = logged_in(whatsapp)
    (push,) = whatsapp.deliver("s1", "62899", "hello", NOW).pushes
    assert push.connection == "c1"
    assert isinstance(push.event, InboundMessage)
    whatsapp.disconnected("c1")
    again = whatsapp.login(given, 1, LABEL, "c2", NOW)
    assert again.waiting == (push.event,)
    whatsapp.received("c2", push.event.id)
    assert whatsapp.login(given, 1, LABEL, "c3", NOW).waiting == ()


def test_inbound_messages_wait_in_order_while_the_device_is_away():
    whatsapp = judge()
    given = linked(whatsapp)
    assert whatsapp.deliver("s1", "62899", "one", NOW).pushes == ()
    whatsapp.deliver("s1", "62899", "two", NOW)
    answer = whatsapp.login(given, 1, LABEL, "c1", NOW)
    assert [message.text for message in answer.waiting] == ["one", "two"]


def test_the_offline_queue_is_bounded():
    whatsapp = judge(queue_limit=1)
    linked(whatsapp)
    whatsapp.deliver("s1", "62899", "one", NOW)
    assert whatsapp.deliver("s1", "62899", "two", NOW) == Refused(Refusal.QUEUE_FULL)


def test_a_removed_device_is_told_and_cannot_return():
    whatsapp = judge()
    given = logged_in(whatsapp)
    assert whatsapp.remove_device("s1").pushes == (Push("c1", DeviceRemoved()),)
    assert said(whatsapp, "c1", "A", 1) == Dropped()
    assert whatsapp.login(given, 1, LABEL, "c2", NOW) == Refused(Refusal.LOGGED_OUT)
    assert whatsapp.deliver("s1", "62899", "hi", NOW) == Refused(Refusal.UNKNOWN_DEVICE)


def test_a_device_that_logged_out_cannot_return():
    whatsapp = judge()
    given = logged_in(whatsapp)
    whatsapp.logout("c1")
    assert whatsapp.stats().connected == 0
    assert whatsapp.login(given, 1, LABEL, "c2", NOW) == Refused(Refusal.LOGGED_OUT)


def test_a_scanned_code_makes_a_device_that_can_log_in():
    whatsapp = judge()
    code = whatsapp.pair("s1", None, "c1", NOW).code
    assert len(code) == 9
    assert code[4] == "-"
    result = whatsapp.link(code.lower().replace("-", " "), NOW, phone="62877")
    assert isinstance(result, Linked)
    (push,) = result.pushes
    assert push.connection == "c1"
    assert isinstance(push.event, Paired)
    answer = whatsapp.login(push.event.credentials, 1, LABEL, "c1", NOW)
    assert isinstance(answer, LoggedIn)
    assert answer.phone == "62877"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda whatsapp: whatsapp.pair("s1", None, "c1", NOW), Refusal.UNKNOWN_CODE),
        (lambda whatsapp: whatsapp.disconnected("c1"), Refusal.UNKNOWN_CODE),
        (lambda whatsapp: whatsapp.link("0000-0001", NOW), Refusal.UNKNOWN_CODE),
    ],
    ids=["a newer code", "the connection is gone", "it was used"],
)
def test_a_code_is_void_after(spoil, reason):
    whatsapp = judge()
    code = whatsapp.pair("s1", None, "c1", NOW).code
    spoil(whatsapp)
    assert whatsapp.link(code, NOW) == Refused(reason)


def test_a_code_expires():
    whatsapp = judge()
    pairing = whatsapp.pair("s1", None, "c1", NOW)
    assert pairing.expires_at == NOW + 300
    assert whatsapp.link(pairing.code, NOW + 300.1) == Refused(Refusal.CODE_EXPIRED)


def test_linking_a_session_anew_removes_its_former_device():
    whatsapp = judge()
    given = logged_in(whatsapp, "c1")
    pairing = whatsapp.pair("s1", None, "c2", NOW)
    result = whatsapp.link(pairing.code, NOW)
    assert result.pushes[0] == Push("c1", DeviceRemoved())
    assert said(whatsapp, "c1", "A", 1) == Dropped()
    assert whatsapp.login(given, 1, LABEL, "c3", NOW) == Refused(Refusal.LOGGED_OUT)


def test_preregistering_again_keeps_the_secret():
    whatsapp = judge()
    assert linked(whatsapp) == linked(whatsapp)


def test_remembered_ids_are_bounded():
    whatsapp = judge(remembered_ids=2)
    logged_in(whatsapp)
    for counter, message_id in enumerate("ABC", start=1):
        said(whatsapp, "c1", message_id, counter)
    assert said(whatsapp, "c1", "A", 1) == Refused(Refusal.RATCHET_REGRESSED), "forgotten: judged as a new message"
    assert said(whatsapp, "c1", "C", 1).delivery is None
