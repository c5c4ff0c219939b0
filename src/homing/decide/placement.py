"""Where should a session live?

On the least used instance that is fit: with room in every respect that it declares, and with every label that the
session requires. Where it lived before wins while the difference is small.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from math import exp, log

from homing.decide.rooms import Load, Room, lacks, rooms
from homing.model.fleet import Instance, InstanceState, InstanceUrl, SessionId

STICKS_WITHIN = 0.10
"""A session stays where it is unless that is used more than the least used by this part of all it can take."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A session that needs a place. `from_url` is where it lived until now, and may stay if that is fit."""

    session_id: SessionId
    requires: Mapping[str, str] = field(default_factory=dict)
    from_url: InstanceUrl | None = None
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
    return _Fleet(loads, unfit or {}).place(Wanted(SessionId(""), requires or {}, current))


def choose_all(
    wanted: Sequence[Wanted], loads: Sequence[Load], *, unfit: Mapping[InstanceUrl, str] | None = None
) -> dict[SessionId, Chosen | NoRoom]:
    """A place for each, the first ones first, each counted before the next is placed."""
    fleet = _Fleet(loads, unfit or {})
    return {each.session_id: fleet.place(each) for each in wanted}


def forecast(samples: Sequence[tuple[float, float]], now_s: float, half_life_s: float) -> float:
    """Sends per second to expect, from counts `(at_s, sends)`: what lies a half-life further back counts half."""
    decay = log(2) / half_life_s
    return decay * sum(sends * exp(-decay * max(0.0, now_s - at_s)) for at_s, sends in samples)


# --- rooms, filled as sessions are placed ---------------------------------------------------------------------


class _Fleet:
    """The fleet, as it fills. What is used only grows, so that an order by it may be put right when it is looked at."""

    def __init__(self, loads: Sequence[Load], unfit: Mapping[InstanceUrl, str]) -> None:
        self._rooms = {room.instance.url: room for room in rooms(loads)}
        self._unfit = unfit
        self._by_labels: dict[frozenset[tuple[str, str]], list[tuple[float, int, Room]]] = {}
        self._refused: dict[frozenset[tuple[str, str]], NoRoom] = {}

    def place(self, wanted: Wanted) -> Chosen | NoRoom:
        labels = frozenset(wanted.requires.items())
        if labels in self._refused:
            return self._refused[labels]
        fit = self._fit(labels)
        best = _least_used(fit, wanted.sends_per_s)
        if best is None:
            return self._no_room(wanted, labels)
        stays = self._stays(wanted, labels, best)
        room = stays or best
        said = room.said()
        reason = (
            f"it lived on {room.instance.url} before, which is not used much more than others: {said}"
            if stays
            else f"{room.instance.url} is the least used of {len(fit)} that may hold it: {said}"
        )
        room.take(wanted.sends_per_s)
        return Chosen(room.instance, reason)

    def _fit(self, labels: frozenset[tuple[str, str]]) -> list[tuple[float, int, Room]]:
        """Rooms that may hold a session which requires these labels, full ones too, the least used first."""
        known = self._by_labels.get(labels)
        if known is None:
            fit = [room for room in self._rooms.values() if self._why_not(room, labels) is None]
            known = self._by_labels[labels] = [(room.used, room.instance.id, room) for room in fit]
            heapify(known)
        return known

    def _stays(self, wanted: Wanted, labels: frozenset[tuple[str, str]], best: Room) -> Room | None:
        room = self._rooms.get(wanted.from_url) if wanted.from_url is not None else None
        if room is None or self._why_not(room, labels) is not None or room.full(wanted.sends_per_s) is not None:
            return None
        return room if room.used <= best.used + STICKS_WITHIN else None

    def _no_room(self, wanted: Wanted, labels: frozenset[tuple[str, str]]) -> NoRoom:
        named = [
            f"{url} {self._why_not(room, labels) or room.full(wanted.sends_per_s)}" for url, room in self._rooms.items()
        ]
        refused = NoRoom("; ".join(named) or "no instance is known")
        if all(self._why_not(room, labels) or room.full(0.0) for room in self._rooms.values()):
            self._refused[labels] = refused
        return refused

    def _why_not(self, room: Room, labels: frozenset[tuple[str, str]]) -> str | None:
        """What is wrong with an instance, however empty it is."""
        at = room.instance
        if at.state is InstanceState.DRAINING:
            return "is draining"
        if at.url in self._unfit:
            return self._unfit[at.url]
        return lacks(at, dict(labels))


def _least_used(fit: list[tuple[float, int, Room]], sends_per_s: float) -> Room | None:
    while fit:
        used, number, room = fit[0]
        if room.used > used:
            heapreplace(fit, (room.used, number, room))
        elif room.full(sends_per_s) is None:
            return room
        else:
            break
    return min(
        (room for _, _, room in fit if room.full(sends_per_s) is None),
        key=lambda room: (room.used, room.instance.id),
        default=None,
    )
