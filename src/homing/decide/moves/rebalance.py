"""Which sessions should move from instances that have more than their share, where to, and why not the others?

An instance more than the tolerance above its share gives down to its share, and none takes above its own. So each
single move leaves the fleet more even, and a plan that was carried out to its end leaves nothing to plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf

from homing.decide.fleet.capacity import Load, Room, rooms
from homing.decide.fleet.labels import lacks, shown
from homing.decide.moves.rules import MovePolicy, MoveWish, Resident, StaysPut, idle_first, may_move
from homing.model.fleet import InstanceState, InstanceUrl, SessionId


@dataclass(frozen=True, slots=True)
class RebalancePolicy:
    """Bounds of one plan. `gap_ms` is for how long a session is expected to be away where nobody measured it."""

    tolerance: float = 0.10
    moves_max: int = 100
    told_max: int = 1_000
    gap_ms: int = 500
    moves: MovePolicy = field(default_factory=MovePolicy)


@dataclass(frozen=True, slots=True)
class PlannedMove:
    """One session that is to live elsewhere. `order` counts from 1; `expected_gap_ms` is when it cannot send."""

    session_id: SessionId
    from_url: InstanceUrl
    to_url: InstanceUrl
    order: int
    why: str
    expected_gap_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to move, in order, and which sessions were looked at and stay. `reason` sums it up."""

    moves: tuple[PlannedMove, ...]
    skipped: tuple[StaysPut, ...]
    reason: str


def rebalance(
    loads: Sequence[Load],
    sessions: Sequence[Resident],
    policy: RebalancePolicy,
    *,
    unfit: Mapping[InstanceUrl, str] | None = None,
    gaps_ms: Mapping[InstanceUrl, int] | None = None,
) -> Plan:
    """A bounded plan for sessions on instances that are active and not `unfit`, the longest idle sessions first.

    `gaps_ms` says how long a session that moved to an instance lately was away.
    """
    scales = _scales([load for load in loads if load.instance.url not in (unfit or {})], policy)
    planned, stay, more = _chosen(scales, sessions, policy)
    gaps = gaps_ms or {}
    in_order = {
        each.session_id: at for at, each in enumerate(idle_first([session for session, *_ in planned]), start=1)
    }
    moves = [
        PlannedMove(
            session_id=session.session_id,
            from_url=session.instance_url,
            to_url=to_url,
            order=in_order[session.session_id],
            why=why,
            expected_gap_ms=gaps.get(to_url, policy.gap_ms),
        )
        for session, to_url, why in planned
    ]
    return Plan(tuple(sorted(moves, key=lambda move: move.order)), tuple(stay), _summed_up(scales, moves, more, policy))


@dataclass(slots=True)
class _Scale:
    """An instance on the scales: how much it has, against how much is its share."""

    room: Room
    share: float
    had: int
    gives: bool

    @property
    def url(self) -> InstanceUrl:
        return self.room.instance.url

    @property
    def takes_up_to(self) -> int:
        # The sum of shares is whole, each of them is not; a rounding error must not make room for one more.
        return ceil(self.share - 1e-9)

    @property
    def weighs(self) -> float:
        return self._weighing(self.room.sessions)

    @property
    def would_weigh(self) -> float:
        return self._weighing(self.room.sessions + 1)

    def _weighing(self, sessions: int) -> float:
        if self.share > 0:
            return sessions / self.share
        return inf if sessions else 0.0


_Chosen = tuple[Resident, InstanceUrl, str]


def _scales(loads: Sequence[Load], policy: RebalancePolicy) -> list[_Scale]:
    found = [room for room in rooms(loads) if room.instance.state is InstanceState.ACTIVE]
    total, capacity = sum(room.sessions for room in found), sum(room.capacity for room in found)
    scales = [
        _Scale(room, total * room.capacity / capacity if capacity else 0.0, room.sessions, gives=False)
        for room in found
    ]
    for scale in scales:
        scale.gives = scale.had > max(scale.share * (1 + policy.tolerance), scale.takes_up_to)
    return scales


def _chosen(
    scales: Sequence[_Scale], sessions: Sequence[Resident], policy: RebalancePolicy
) -> tuple[list[_Chosen], list[StaysPut], bool]:
    """The moves, what stays, and whether the limit cut the plan short."""
    planned: list[_Chosen] = []
    stay: list[StaysPut] = []
    waiting = {
        scale.url: idle_first([each for each in sessions if each.instance_url == scale.url])[::-1]
        for scale in scales
        if scale.gives
    }
    while giving := [each for each in scales if waiting.get(each.url) and each.room.sessions > each.takes_up_to]:
        if len(planned) >= policy.moves_max:
            return planned, stay, True
        giver = max(giving, key=lambda each: (each.weighs, -each.room.instance.id))
        session = waiting[giver.url].pop()
        target = _target(session, giver, scales, policy)
        if isinstance(target, StaysPut):
            stay += [target] if len(stay) < policy.told_max else []
            continue
        planned.append((session, target.url, _why(giver, target)))
        giver.room.give(session.sends_per_s)
        target.room.take(session.sends_per_s)
    return planned, stay, False


def _target(session: Resident, giver: _Scale, scales: Sequence[_Scale], policy: RebalancePolicy) -> _Scale | StaysPut:
    kept = may_move(session, MoveWish.BALANCE, policy.moves)
    if kept is not None:
        return kept
    others = [each for each in scales if each is not giver]
    fit = [each for each in others if lacks(each.room.instance, session.requires) is None]
    if not fit:
        why = f"no other instance has {shown(session.requires)}" if session.requires else "there is no other"
        return StaysPut(session.session_id, why)
    open_ = [each for each in fit if _takes(each, giver, session)]
    if not open_:
        return StaysPut(session.session_id, "every other instance that may hold it is full or has its share")
    return min(open_, key=lambda each: (each.weighs, each.room.instance.id))


def _takes(target: _Scale, giver: _Scale, session: Resident) -> bool:
    has_room = target.room.full(session.sends_per_s) is None and target.room.sessions < target.takes_up_to
    return has_room and target.would_weigh < giver.weighs


def _why(giver: _Scale, target: _Scale) -> str:
    share = giver.takes_up_to
    return (
        f"{giver.url} has {giver.had} sessions, {giver.had - share} more than its share of {share};"
        f" {target.url} has room ({target.room.sessions} of {target.takes_up_to})"
    )


def _summed_up(scales: Sequence[_Scale], moves: Sequence[PlannedMove], more: bool, policy: RebalancePolicy) -> str:
    tolerated = f"{policy.tolerance * 100:.0f} %"
    counted = f"{len(moves)} move{'' if len(moves) == 1 else 's'}"
    if more:
        return f"{counted}, which is the limit of one plan; more will be wanted"
    above = [scale.url for scale in scales if scale.gives and scale.room.sessions > scale.takes_up_to]
    if above:
        return f"{counted}; nothing more can leave {' and '.join(above)}"
    if not moves:
        return f"nothing to move: each of {len(scales)} instances is within {tolerated} of its share"
    return f"{counted}, after which each of {len(scales)} instances has its share"
