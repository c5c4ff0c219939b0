"""Which fault applies to which request: tables."""

import pytest

from homing.instance.api.fault_injection import kind_of
from homing.instance.api.faults import Effect, Faults, RequestKind, Treatment, UnknownFault

SEND, LIST, OTHER = RequestKind.SEND, RequestKind.LIST, RequestKind.OTHER
NOW = 1000.0


def asked(**wanted: object) -> Faults:
    faults = Faults()
    faults.ask(wanted, NOW)
    return faults


def effects(faults: Faults, kind: RequestKind, times: int, now: float = NOW) -> list[Effect | None]:
    return [faults.treat(kind, now).effect for _ in range(times)]


def test_without_faults_nothing_happens():
    assert Faults().treat(SEND, NOW) == Treatment()


@pytest.mark.parametrize("name", ["hang", "drop_before", "drop_after", "garbage", "half", "huge"])
def test_each_fault_is_asked_for_by_its_name(name):
    assert asked(**{name: True}).treat(SEND, NOW) == Treatment(0.0, Effect(name))


@pytest.mark.parametrize("status", [404, 429, 500, 502, 503, 504])
def test_an_answer_carries_its_status(status):
    assert asked(answer={"status": status}).treat(LIST, NOW) == Treatment(0.0, Effect.ANSWER, status)


@pytest.mark.parametrize(
    ("scope", "hit"),
    [("sends", {SEND}), ("lists", {LIST}), ("all", {SEND, LIST, OTHER})],
)
def test_a_scope_covers_only_its_requests(scope, hit):
    faults = asked(garbage={"scope": scope})
    assert {kind for kind in RequestKind if faults.treat(kind, NOW).effect} == hit


def test_a_count_is_used_up():
    assert effects(asked(hang={"count": 2}), SEND, 3) == [Effect.HANG, Effect.HANG, None]


def test_requests_outside_the_scope_do_not_use_the_count_up():
    faults = asked(hang={"count": 1, "scope": "sends"})
    assert effects(faults, LIST, 2) == [None, None]
    assert effects(faults, SEND, 2) == [Effect.HANG, None]


def test_a_fault_ends_with_its_seconds():
    faults = asked(half={"seconds": 5})
    assert effects(faults, SEND, 1, NOW + 4.9) == [Effect.HALF]
    assert effects(faults, SEND, 1, NOW + 5) == [None]


def test_latency_joins_any_effect():
    faults = asked(latency_ms=250, garbage={"count": 1})
    assert faults.treat(SEND, NOW) == Treatment(0.25, Effect.GARBAGE)
    assert faults.treat(SEND, NOW) == Treatment(0.25)


@pytest.mark.parametrize(
    ("when", "effect"), [("before", Effect.CRASH_BEFORE), ("after", Effect.CRASH_AFTER)], ids=["before", "after"]
)
def test_a_crash_comes_with_the_nth_send(when, effect):
    faults = asked(crash={"on_send": 3, "when": when})
    assert effects(faults, LIST, 5) == [None] * 5
    assert effects(faults, SEND, 3) == [None, None, effect]


def test_the_first_fault_asked_for_wins_until_it_is_over():
    faults = asked(hang={"count": 1})
    faults.ask({"garbage": {"count": 1}}, NOW)
    assert effects(faults, SEND, 3) == [Effect.HANG, Effect.GARBAGE, None]


def test_asking_again_replaces_a_fault_of_the_same_name():
    faults = asked(answer={"status": 500})
    faults.ask({"answer": {"status": 503, "count": 1}}, NOW)
    assert faults.treat(SEND, NOW).status == 503
    assert faults.treat(SEND, NOW).effect is None


def test_clear_ends_everything_and_may_begin_anew():
    faults = asked(latency_ms=100, hang=True)
    faults.ask({"clear": True, "garbage": True}, NOW)
    assert faults.treat(SEND, NOW) == Treatment(0.0, Effect.GARBAGE)


@pytest.mark.parametrize(
    "wanted",
    [
        {"explode": True},
        {"crash_after": True},
        {"answer": True},
        {"answer": {"status": 200}},
        {"hang": 5},
        {"hang": {"scope": "some"}},
        {"hang": {"count": -1}},
        {"hang": {"seconds": "5"}},
        {"crash": True},
        {"crash": {"when": "during"}},
        {"latency_ms": True},
    ],
    ids=str,
)
def test_a_fault_that_there_is_not_changes_nothing(wanted):
    faults = asked(garbage=True)
    with pytest.raises(UnknownFault):
        faults.ask({"latency_ms": 9, **wanted}, NOW)
    assert faults.shown(NOW) == {"latency_ms": 0.0, "faults": [{"effect": "garbage", "scope": "all"}]}


def test_what_is_shown_is_what_is_left():
    faults = asked(answer={"status": 503, "count": 3, "seconds": 9}, crash={"on_send": 2, "when": "after"})
    faults.treat(LIST, NOW)
    assert faults.shown(NOW + 1)["faults"] == [
        {"effect": "answer", "scope": "all", "count": 2, "seconds_left": 8.0, "status": 503},
        {"effect": "crash_after", "scope": "sends", "after_sends": 1},
    ]
    assert len(faults.shown(NOW + 10)["faults"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/api/messages/send", SEND),
        ("POST", "/api/messages/send-media", SEND),
        ("POST", "/api/messages/bulk-send", SEND),
        ("GET", "/api/sessions", LIST),
        ("POST", "/api/sessions", OTHER),
        ("GET", "/api/sessions/s1/status", OTHER),
        ("GET", "/health", OTHER),
    ],
)
def test_requests_are_of_a_kind(method, path, kind):
    assert kind_of(method, path) is kind
