"""Where should a session live?

On the least used instance that is fit: with room in every respect that it declares, and with every label that the
session requires. Where it lived before wins while the difference is small.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from itertools import pairwise

from homing.decide.fleet.capacity import Load, Room, rooms
from homing.decide.fleet.labels import lacks
from homing.model.fleet import Instance, InstanceMode, InstanceState, InstanceUrl, SessionId

STICKS_WITHIN = 0.10
"""A session stays where it is unless that is used more than the least used by this part of all it can take."""


@dataclass(frozen=True, slots=True)
class PlacementRequest:
    """A session that needs a place.

    `from_url` is where it lived until now: it may stay if that is fit, unless it `leaves`. `to_url` is where an
    operator wants it, and then nowhere else.
    """

    session_id: SessionId
    requires: Mapping[str, str] = field(default_factory=dict)
    from_url: InstanceUrl | None = None
    to_url: InstanceUrl | None = None
    leaves: bool = False
    sends_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """The instance to start the session on, and why that one."""

    instance: Instance
    reason: str


@dataclass(frozen=True, slots=True)
class NoRoom:
    """No instance can take it; the reason names each and what is wrong with it."""

    reason: str


def choose(
    loads: Sequence[Load],
    *,
    requires: Mapping[str, str] | None = None,
    current: InstanceUrl | None = None,
    unfit: Mapping[InstanceUrl, str] | None = None,
) -> Chosen | NoRoom:
    """A place for one session. `unfit` says of instances that must not be chosen what is wrong with them."""
    return _PlacementFleet(loads, unfit or {}).place(PlacementRequest(SessionId(""), requires or {}, current))


def choose_all(
    wanted: Sequence[PlacementRequest],
    loads: Sequence[Load],
    *,
    unfit: Mapping[InstanceUrl, str] | None = None,
    logins: Mapping[InstanceUrl, int] | None = None,
) -> dict[SessionId, Chosen | NoRoom]:
    """A place for each, the first ones first, each counted before the next is placed.

    `logins` is how many sessions may still log in on an instance now: rather than wait for its turn there, a session
    goes to the least used instance that can take it at once.
    """
    fleet = _PlacementFleet(loads, unfit or {}, logins)
    return {each.session_id: fleet.place(each) for each in wanted}


def forecast(samples: Sequence[tuple[float, float]], now_s: float, half_life_s: float = 60.0) -> float:
    """Sends per second to expect, from rates `(at_s, sends_per_s)` in the order of their times.

    Each rate is taken to have held until the next one was measured, and counts by when that was: what lies a
    half-life further back counts half.
    """
    weighed, total = 0.0, 0.0
    for (at_s, rate), (end_s, _) in pairwise([*samples, (now_s, 0.0)]):
        weight = _counts(now_s - end_s, half_life_s) - _counts(now_s - at_s, half_life_s)
        weighed, total = weighed + weight * rate, total + weight
    if total > 0:
        return weighed / total
    return samples[-1][1] if samples else 0.0


def _counts(age_s: float, half_life_s: float) -> float:
    return float(0.5 ** (max(0.0, age_s) / half_life_s))


# --- the fleet, as it fills -----------------------------------------------------------------------------------

_Labels = frozenset[tuple[str, str]]


class _PlacementFleet:
    """What is used only grows, so that an order by it may be put right when it is looked at."""

    def __init__(
        self, loads: Sequence[Load], unfit: Mapping[InstanceUrl, str], logins: Mapping[InstanceUrl, int] | None = None
    ) -> None:
        self._rooms = {room.instance.url: room for room in rooms(loads)}
        self._unfit = unfit
        self._logins = None if logins is None else dict(logins)
        self._by_labels: dict[_Labels, list[tuple[float, int, Room]]] = {}
        self._refused: dict[_Labels, NoRoom] = {}

    def place(self, wanted: PlacementRequest) -> Chosen | NoRoom:
        if wanted.to_url is not None:
            return self._there(wanted, wanted.to_url)
        labels = frozenset(wanted.requires.items())
        if labels in self._refused:
            return self._refused[labels]
        fit = self._fit(labels)
        best = _least_used(fit, wanted)
        if best is None:
            return self._no_room(wanted, labels)
        home = self._home(wanted, labels)
        if home is not None and home.used <= best.used + STICKS_WITHIN and self._may_log_in(home):
            return self._taken(home, wanted, f"it lived on {home.instance.url} before, and no other is used much less")
        if not self._may_log_in(best) and (soonest := self._soonest(fit, wanted)) is not None:
            why = f"{soonest.instance.url} can log it in at once, and {best.instance.url}, which is used less, cannot"
            return self._taken(soonest, wanted, why)
        return self._taken(best, wanted, f"{best.instance.url} is the least used of {len(fit)} that may hold it")

    def _there(self, wanted: PlacementRequest, url: InstanceUrl) -> Chosen | NoRoom:
        room = self._rooms.get(url)
        if room is None:
            return NoRoom(f"{url} is no instance that we know")
        why_not = self._why_not(room, frozenset(wanted.requires.items())) or room.full(wanted.sends_per_s)
        return NoRoom(f"{url} {why_not}") if why_not else self._taken(room, wanted, f"{url} was asked for")

    def _home(self, wanted: PlacementRequest, labels: _Labels) -> Room | None:
        """Where it lived until now, if it may stay there."""
        room = self._rooms.get(wanted.from_url) if wanted.from_url is not None and not wanted.leaves else None
        if room is None or self._why_not(room, labels) is not None or room.full(wanted.sends_per_s) is not None:
            return None
        return room

    def _fit(self, labels: _Labels) -> list[tuple[float, int, Room]]:
        """Rooms that may hold a session which requires these labels, full ones too, the least used first."""
        known = self._by_labels.get(labels)
        if known is None:
            fit = [room for room in self._rooms.values() if self._why_not(room, labels) is None]
            known = self._by_labels[labels] = [(room.used, room.instance.id, room) for room in fit]
            heapify(known)
        return known

    def _soonest(self, fit: list[tuple[float, int, Room]], wanted: PlacementRequest) -> Room | None:
        """The least used that can take it without waiting for a turn."""
        if self._logins is not None and not any(left > 0 for left in self._logins.values()):
            return None
        takers = (room for _, _, room in fit if self._may_log_in(room) and _takes(room, wanted))
        return min(takers, key=lambda room: (room.used, room.instance.id), default=None)

    def _may_log_in(self, room: Room) -> bool:
        return self._logins is None or self._logins.get(room.instance.url, 0) > 0

    def _taken(self, room: Room, wanted: PlacementRequest, why: str) -> Chosen:
        said = room.said()
        room.take(wanted.sends_per_s)
        if self._logins is not None:
            self._logins[room.instance.url] = self._logins.get(room.instance.url, 0) - 1
        return Chosen(room.instance, f"{why}: {said}")

    def _no_room(self, wanted: PlacementRequest, labels: _Labels) -> NoRoom:
        named = [
            f"{url} {self._why_not(room, labels) or room.full(wanted.sends_per_s) or 'is what it leaves'}"
            for url, room in self._rooms.items()
        ]
        refused = NoRoom("; ".join(named) or "no instance is known")
        if all(self._why_not(room, labels) or room.full(0.0) for room in self._rooms.values()):
            self._refused[labels] = refused
        return refused

    def _why_not(self, room: Room, labels: _Labels) -> str | None:
        """What is wrong with an instance, however empty it is."""
        at = room.instance
        if at.state is InstanceState.DRAINING:
            return "is draining"
        if at.mode is InstanceMode.OBSERVE:
            return "is only observed"
        if at.url in self._unfit:
            return self._unfit[at.url]
        return lacks(at, dict(labels))


def _least_used(fit: list[tuple[float, int, Room]], wanted: PlacementRequest) -> Room | None:
    while fit:
        used, number, room = fit[0]
        if room.used > used:
            heapreplace(fit, (room.used, number, room))
        elif _takes(room, wanted):
            return room
        else:
            break
    takers = (room for _, _, room in fit if _takes(room, wanted))
    return min(takers, key=lambda room: (room.used, room.instance.id), default=None)


def _takes(room: Room, wanted: PlacementRequest) -> bool:
    is_left = wanted.leaves and room.instance.url == wanted.from_url
    return not is_left and room.full(wanted.sends_per_s) is None
