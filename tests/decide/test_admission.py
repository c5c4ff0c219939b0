"""Whose share of a gateway is full, and who finds room in it all the same."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.config import Settings
from homing.decide.sending.admission import AdmissionPolicy, InProgress, NotAdmitted, Share, admit, modest
from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.shares import may_take

POLICY = AdmissionPolicy(sends=2_000, of_a_workspace=1_000, of_a_session=500)


class Gateway:
    """Sends that stay for ever."""

    def __init__(self, policy: AdmissionPolicy = POLICY) -> None:
        self.policy = policy
        self.of_workspace: Counter[int] = Counter()
        self.of_account: Counter[tuple[int, str]] = Counter()

    def send(self, workspace: int, account: str = "a") -> NotAdmitted | None:
        now = InProgress(self.of_workspace.total(), self.of_workspace[workspace], self.of_account[workspace, account])
        full = admit(now, WorkspaceId(workspace), AccountUuid(account), self.policy)
        if full is None:
            self.of_workspace[workspace] += 1
            self.of_account[workspace, account] += 1
        return full

    def flood(self, workspace: int, account: str = "a") -> NotAdmitted:
        """Sends until one is not let in."""
        while (full := self.send(workspace, account)) is None:
            pass
        return full


def test_a_flood_of_one_session_leaves_room_for_its_neighbours_and_for_other_workspaces() -> None:
    gateway = Gateway()
    full = gateway.flood(1)
    assert (full.whose, gateway.of_account[1, "a"]) == (Share.SESSION, 500)
    assert "session of account a has 500 sends in progress" in full.reason
    assert gateway.send(1, "neighbour") is None
    assert gateway.send(2) is None


def test_a_flood_of_one_workspace_leaves_room_for_the_others() -> None:
    gateway = Gateway()
    for account in range(5_000):
        if (full := gateway.send(1, str(account))) is not None:
            break
    assert full is not None
    assert (full.whose, gateway.of_workspace[1]) == (Share.WORKSPACE, 1_000)
    assert "workspace 1 has 1000 sends in progress" in full.reason
    assert gateway.send(2) is None


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 5)), min_size=1, max_size=60))
def test_where_several_take_what_they_can_a_newcomer_finds_room(floods: list[tuple[int, int]]) -> None:
    gateway = Gateway()
    for workspace, account in floods:
        gateway.flood(workspace, str(account))
    assert gateway.send(99) is None
    assert gateway.of_workspace.total() <= POLICY.sends


def test_a_gateway_that_is_full_says_so() -> None:
    full = admit(InProgress(2_000, 0, 0), WorkspaceId(1), AccountUuid("a"), POLICY)
    assert full is not None
    assert full.whose is Share.GATEWAY


@pytest.mark.parametrize("places", [1, 2, 3, 64])
def test_wherever_there_is_any_place_one_alone_gets_one(places: int) -> None:
    assert may_take(0, places, 1)
    small = Settings(_env_file=None, homing_max_sends=places).admission_policy  # type: ignore[call-arg]
    assert admit(InProgress(0, 0, 0), WorkspaceId(1), AccountUuid("a"), small) is None


def test_shares_that_are_set_are_limits() -> None:
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None, homing_max_sends=100, homing_sends_per_workspace=20, homing_sends_per_session=5
    )
    gateway = Gateway(settings.admission_policy)
    assert gateway.flood(1).whose is Share.SESSION
    assert gateway.of_account[1, "a"] == 5
    for account in "bcdefghij":
        gateway.flood(1, account)
    assert gateway.of_workspace[1] == 20
    assert gateway.send(2) is None


@given(
    st.builds(AdmissionPolicy, *[st.integers(1, 3_000)] * 3),
    st.integers(0, 3_000),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_with_a_modest_number_in_progress_everybody_is_let_in(
    policy: AdmissionPolicy, sends: int, of_it: float, of_that: float
) -> None:
    of_workspace = int(sends * of_it)
    now = InProgress(sends, of_workspace, int(of_workspace * of_that))
    if sends < modest(policy):
        assert admit(now, WorkspaceId(1), AccountUuid("a"), policy) is None
