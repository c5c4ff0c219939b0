"""Of a session in the vault only the vault's epoch counts, whoever claims what."""

import pytest

from homing.decide.knowledge import claims, reconcile
from homing.decide.knowledge.reconcile import Absent, AtHome, Observations, PlacedElsewhere
from homing.model.fleet import (
    CLAIMED_EPOCH_MAX,
    Epoch,
    InstanceUrl,
    ListedSession,
    Placement,
    SessionId,
    SessionList,
    SessionStatus,
)
from homing.model.instances.vault import Vouched

A, B, C = (InstanceUrl(f"http://{name}:3001") for name in "abc")
S = SessionId("webjs_1_aa")
RECORD = Placement(S, A, Epoch(5))


def observed(**rows: int | None) -> Observations:
    """Instances that list the session as connected, under these epochs; the others answered without it."""
    lists = {}
    for url in (A, B, C):
        name = url.removeprefix("http://")[0]
        row = ListedSession(S, SessionStatus.CONNECTED, epoch=rows.get(name))  # type: ignore[arg-type]
        lists[url] = SessionList(url, {S: row} if name in rows else {})
    return reconcile.observe(lists, [S])


def judged(seen: Observations, epoch: int, holder: InstanceUrl | None) -> tuple[reconcile.Judgement, list[InstanceUrl]]:
    borne, false = claims.borne_out(seen, {S: Vouched(Epoch(epoch), holder)}, [RECORD])
    return reconcile.judge(RECORD, borne), [claim.url for claim in false]


def test_an_invented_epoch_gets_nothing_once_the_holder_is_gone() -> None:
    assert isinstance(reconcile.judge(RECORD, observed(b=99)), PlacedElsewhere), (
        "as it is where no vault says otherwise"
    )
    judgement, false = judged(observed(b=99), 5, A)
    assert isinstance(judgement, Absent)
    assert false == [B]


def test_an_invented_epoch_does_not_disturb_the_holder() -> None:
    judgement, false = judged(observed(a=5, b=99), 5, A)
    assert isinstance(judgement, AtHome)
    assert judgement.rivals == ()
    assert false == [B]


def test_who_was_granted_it_is_found_beside_a_liar() -> None:
    judgement, false = judged(observed(b=99, c=6), 6, C)
    assert isinstance(judgement, PlacedElsewhere)
    assert (judgement.change.instance_url, judgement.change.epoch) == (C, 6)
    assert false == [B]


@pytest.mark.parametrize("epoch", [5, None, 6])
def test_nobody_has_it_under_the_epoch_of_another_or_under_none(epoch: int | None) -> None:
    judgement, false = judged(observed(b=epoch), 5, A)
    assert isinstance(judgement, Absent)
    assert false == [B]


def test_the_holder_itself_is_not_believed_an_epoch_that_it_was_not_granted() -> None:
    judgement, false = judged(observed(a=9), 5, A)
    assert isinstance(judgement, Absent)
    assert false == [A]


def test_who_had_it_before_is_behind_and_no_liar() -> None:
    judgement, false = judged(observed(a=5, b=4), 5, A)
    assert isinstance(judgement, AtHome)
    assert judgement.rivals == (B,)
    assert false == []


def test_only_what_says_anything_else_than_the_record_is_checked() -> None:
    assert claims.to_be_checked(observed(a=5), [RECORD]) == []
    assert claims.to_be_checked(observed(a=None), [RECORD]) == []
    assert claims.to_be_checked(observed(a=6), [RECORD]) == [S]
    assert claims.to_be_checked(observed(a=5, b=5), [RECORD]) == [S]
    assert claims.to_be_checked(observed(), [RECORD]) == []


def test_no_gateway_brings_a_record_to_an_epoch_from_which_grants_could_not_go_on() -> None:
    assert isinstance(reconcile.judge(RECORD, observed(b=CLAIMED_EPOCH_MAX)), PlacedElsewhere)
    assert isinstance(reconcile.judge(RECORD, observed(b=CLAIMED_EPOCH_MAX + 1)), Absent)
