"""Which of the messages that are due may go now, and when the next one may.

Limits are token buckets that fill up evenly, by the store's clock. A clock that jumps back gives nothing and takes
nothing; one that jumps ahead gives no more than a full bucket. A gap is drawn anew after each message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from homing.model.sends.pacing import PacePolicy, PaceState

DAY_S = 86_400.0
RESTRICTED_S = 3_600.0
"""For so long after WhatsApp said `do not` (463) no new chat is begun: repeating makes it worse."""
RAMP_FROM = 0.1
TYPING_AT_MOST_S = 10.0


@dataclass(frozen=True, slots=True)
class Limit:
    """So many messages in so many seconds."""

    name: str
    messages: float
    per_s: float


@dataclass(frozen=True, slots=True)
class PacePlan:
    """How many of the due messages may go, in their order, those passed over left out; what is left then; and in how
    many seconds the next may go, if the pace holds some back, with the reason."""

    goes: tuple[int, ...]
    state: PaceState
    next_s: float | None
    reason: str


def limits(policy: PacePolicy, age_days: float) -> list[Limit]:
    """The limits in force for an account of this age."""
    a_day = _on_its_day(policy, age_days)
    known = (
        ("minute", policy.per_minute, 60.0),
        ("hour", policy.per_hour, 3_600.0),
        ("day", a_day, DAY_S),
        ("new_chats", policy.new_chats_per_day, DAY_S),
    )
    return [Limit(name, float(most), per_s) for name, most, per_s in known if most is not None]


def _on_its_day(policy: PacePolicy, age_days: float) -> int | None:
    warm_up = policy.warm_up
    if warm_up is None or age_days >= warm_up.days:
        return policy.per_day
    today = int(warm_up.first_day * warm_up.factor ** int(max(age_days, 0.0)))
    return today if policy.per_day is None else min(today, policy.per_day)


def refilled(state: PaceState, of: Sequence[Limit], now_s: float) -> PaceState:
    """What is left now. A bucket that was never used is full."""
    passed_s = max(0.0, now_s - state.at_s)
    left: Mapping[str, float] = {
        each.name: min(each.messages, state.left.get(each.name, each.messages) + passed_s * each.messages / each.per_s)
        for each in of
    }
    waits_s = min(state.next_s, now_s + DAY_S) if state.next_s > now_s and state.at_s > now_s else state.next_s
    return replace(state, left=left, at_s=now_s, next_s=waits_s)


def plan(
    policy: PacePolicy,
    state: PaceState,
    new_chats: Sequence[bool],
    *,
    now_s: float,
    age_days: float,
    epoch: int,
    chance: float,
) -> PacePlan:
    """`new_chats`: of each message that is due, in their order, whether it would begin a chat. `chance` from [0, 1)."""
    of = limits(policy, age_days)
    moved = state.epoch not in (0, epoch)
    state = replace(refilled(state, of, now_s), epoch=epoch, moved_s=now_s if moved else state.moved_s)
    goes: list[int] = []
    for place, is_new in enumerate(new_chats):
        if state.next_s > now_s:
            return PacePlan(tuple(goes), state, state.next_s - now_s, "its pace: a pause between two messages")
        if is_new and state.restricted_until_s > now_s:
            continue
        short = _short(state, of, is_new=is_new)
        if short is not None and short.name == "new_chats":
            continue
        if short is not None:
            wait_s = (1.0 - state.left[short.name]) * short.per_s / short.messages
            return PacePlan(tuple(goes), state, wait_s, f"its pace: {short.messages:g} messages in a {short.name}")
        goes.append(place)
        state = _charged(policy, state, of, now_s, is_new=is_new, chance=chance)
    if len(goes) < len(new_chats):
        return PacePlan(tuple(goes), state, 60.0, "its pace: no more new chats for now")
    return PacePlan(tuple(goes), state, None, "")


def _short(state: PaceState, of: Sequence[Limit], *, is_new: bool) -> Limit | None:
    """The limit that a message would exceed, the slowest one."""
    asked = [each for each in of if is_new or each.name != "new_chats"]
    short = [each for each in asked if state.left[each.name] < 1.0]
    return max(short, key=lambda each: each.per_s, default=None)


def _charged(
    policy: PacePolicy, state: PaceState, of: Sequence[Limit], now_s: float, *, is_new: bool, chance: float
) -> PaceState:
    taken = {each.name: 1.0 if is_new or each.name != "new_chats" else 0.0 for each in of}
    left = {name: value - taken.get(name, 0.0) for name, value in state.left.items()}
    next_s = state.next_s
    if policy.gap_s is not None:
        shortest_s, longest_s = policy.gap_s
        next_s = now_s + (shortest_s + (longest_s - shortest_s) * chance) / _speed(policy, state, now_s)
    return replace(state, left=left, next_s=next_s)


def _speed(policy: PacePolicy, state: PaceState, now_s: float) -> float:
    """1, or a part of it right after a move."""
    since_s = now_s - state.moved_s
    if not state.moved_s or policy.ramp_s <= 0 or since_s >= policy.ramp_s:
        return 1.0
    return RAMP_FROM + (1.0 - RAMP_FROM) * max(0.0, since_s) / policy.ramp_s


def typing_s(policy: PacePolicy, characters: int) -> float:
    """For how long somebody types before a message of this length."""
    if policy.typing_ms_per_char is None:
        return 0.0
    return min(characters * policy.typing_ms_per_char / 1000, TYPING_AT_MOST_S)
