"""What may be done for a session, in words, by the judgments that the deeds themselves ask."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from homing.decide.knowledge import doubt
from homing.decide.moves import abilities, movable
from homing.decide.moves.abilities import Ability, Deed, Held
from homing.drivers.registry import families, traits_of
from homing.model.fleet import (
    Account,
    AccountUuid,
    Capabilities,
    Instance,
    InstanceMode,
    InstanceUrl,
    ListedSession,
    Placement,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.instances.gateways import Traits

URL = InstanceUrl("http://gateway:1")
ACCOUNT = Account(
    7, AccountUuid("u"), WorkspaceId(1), "62811", "", Placement(SessionId("s"), URL), SessionStatus.CONNECTED,
    Takeover.AUTO, datetime.now(UTC),
)  # fmt: skip
OURS = Capabilities(
    choose_message_id=True, stop_keeps_login=True, share_credentials=True, honour_epoch=True, hold_lease=True
)
ALL = sorted(family for family in families() if family != "relay")


def held(family: str, can: Capabilities | None = None, **instance: object) -> Held:
    base: Capabilities = families()[family].base  # type: ignore[attr-defined]
    at = Instance(1, URL, family, **instance)  # type: ignore[arg-type]
    return Held(ACCOUNT, at, can or base, traits_of(family))


def ability(of: Held, deed: Deed) -> Ability:
    return next(each for each in abilities.of(of) if each.deed is deed)


def test_evolution_says_in_words_why_nothing_of_it_comes_back_by_itself() -> None:
    found = ability(held("evolution"), Deed.BROUGHT_BACK)
    assert found.words.startswith("brought back by itself: no, because Evolution keeps Signal keys on its own disk")
    assert "; what would help: bring its process up again" in found.words
    assert ability(held("evolution"), Deed.REDISCOVERED).words.startswith("rediscovered: yes")


def test_of_our_own_instance_everything_is_done() -> None:
    assert all(each.can for each in abilities.of(held("webjs", OURS)))


@pytest.mark.parametrize("family", [each for each in ALL if each != "webjs"])
def test_no_foreign_family_is_brought_back_without_a_word_of_an_operator(family: str) -> None:
    found = held(family)
    assert found.takeover is (Takeover.NEVER if family in ("wuzapi", "gowa") else Takeover.MANUAL)
    for storage in (None, "nas-1"):
        at = replace(found, instance=replace(found.instance, storage=storage))
        back = ability(at, Deed.BROUGHT_BACK)
        assert not back.can and back.because and back.would_help
    everything = replace(found, can=OURS)
    assert not ability(everything, Deed.BROUGHT_BACK).can, "whatever it declares"


@pytest.mark.parametrize("family", ALL)
def test_each_word_about_a_family_is_a_part_of_a_sentence(family: str) -> None:
    traits = traits_of(family)
    assert traits.title and traits.would_help, family
    for told in (traits.logins, traits.would_help):
        assert told and not told.endswith(".") and "  " not in told


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("storage", [None, "nas-1"])
@pytest.mark.parametrize("takeover", list(Takeover))
@pytest.mark.parametrize("mode", list(InstanceMode))
def test_what_is_said_is_what_recovery_would_do(
    family: str, storage: str | None, takeover: Takeover, mode: InstanceMode
) -> None:
    at = held(family, storage=storage, mode=mode)
    at = replace(at, account=replace(ACCOUNT, takeover=takeover))
    row = ListedSession(SessionId("s"), SessionStatus.CONNECTED)
    judged = doubt.judge(at.account, URL, row, failed=3, last="x", can=at.can, mode=mode)
    assert isinstance(judged, doubt.Doubtful)
    assert ability(at, Deed.RESTARTED).can is judged.restart
    if ability(at, Deed.BROUGHT_BACK).can:
        assert movable.takeover(takeover, at.traits) is Takeover.AUTO and movable.cannot_leave(at.can) is None
    taken = ability(at, Deed.TAKEN_OVER)
    allowed = movable.takeover(takeover, at.traits) is not Takeover.NEVER
    shared = movable.cannot_leave(at.can) is None or movable.cannot_share(at.traits, storage, at.can) is None
    routed = mode is InstanceMode.ROUTE  # from one that is only observed nothing is taken, whoever asks
    assert taken.can is (routed and allowed and shared)
    assert ability(at, Deed.MOVED).can is (routed and movable.cannot_leave(at.can) is None)


@pytest.mark.parametrize("deed", [Deed.RESTARTED, Deed.BROUGHT_BACK, Deed.TAKEN_OVER, Deed.MOVED, Deed.STOPPED])
@pytest.mark.parametrize("family", ["webjs", "gowa"])
def test_what_is_only_observed_is_left_alone_and_says_how_that_ends(family: str, deed: Deed) -> None:
    found = ability(held(family, OURS if family == "webjs" else None, mode=InstanceMode.OBSERVE), deed)
    assert (found.can, found.would_help) == (False, f"homing instances set {URL} --mode route")
    assert "only observed" in found.because


def test_an_account_that_nobody_may_take_over_says_how_to_allow_it() -> None:
    at = replace(held("webjs", OURS), account=replace(ACCOUNT, takeover=Takeover.NEVER))
    found = ability(at, Deed.BROUGHT_BACK)
    assert found.because == "its takeover is set to never"
    assert found.would_help == "homing accounts set 7 --takeover manual"


def test_where_there_is_no_list_nothing_is_found_again() -> None:
    found = ability(held("baileys-api"), Deed.REDISCOVERED)
    assert not found.can and "no list" in found.because


def test_a_family_of_somebody_else_that_says_nothing_of_itself_is_not_taken_over() -> None:
    assert Traits("Relay").takeover is Takeover.MANUAL
