"""Faults on demand: what an instance is told to do wrong, and whether it applies to this request.

Pure: requests are named by kind, time is given. The HTTP layer carries the effects out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, assert_never


class RequestKind(StrEnum):
    """What a request is about. Probes and administration of faults are not asked here."""

    SEND = "send"
    LIST = "list"
    OTHER = "other"


class FaultScope(StrEnum):
    """Which requests a fault concerns."""

    SENDS = "sends"
    LISTS = "lists"
    ALL = "all"

    def covers(self, kind: RequestKind) -> bool:
        match self:
            case FaultScope.ALL:
                return True
            case FaultScope.SENDS:
                return kind is RequestKind.SEND
            case FaultScope.LISTS:
                return kind is RequestKind.LIST
            case _:
                assert_never(self)


class Effect(StrEnum):
    """What goes wrong. The names are those of the request that asks for it."""

    HANG = "hang"
    """Take the request, never answer."""
    DROP_BEFORE = "drop_before"
    """Close the connection without doing the work."""
    DROP_AFTER = "drop_after"
    """Do the work, then close the connection without an answer."""
    ANSWER = "answer"
    """Answer with a status code, without doing the work."""
    GARBAGE = "garbage"
    """Do the work, answer 200 with a body that is no JSON."""
    HALF = "half"
    """Do the work, send half of the answer's body, close the connection."""
    HUGE = "huge"
    """Do the work, answer 200 with ten megabytes."""
    CRASH_BEFORE = "crash_before"
    """End the process before anything of the send has left."""
    CRASH_AFTER = "crash_after"
    """End the process after WhatsApp acknowledged the send, before the answer."""


ANSWERS = frozenset({404, 429, 500, 502, 503, 504})
_TIMED = (
    Effect.HANG,
    Effect.DROP_BEFORE,
    Effect.DROP_AFTER,
    Effect.ANSWER,
    Effect.GARBAGE,
    Effect.HALF,
    Effect.HUGE,
)


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """One wrong behaviour. ``count`` requests are left of it (None: any number); it ends at ``until`` (None: never).

    ``skip`` requests that it covers pass unharmed first.
    """

    effect: Effect
    scope: FaultScope = FaultScope.ALL
    count: int | None = None
    until: float | None = None
    status: int | None = None
    skip: int = 0

    def over(self, now: float) -> bool:
        return self.count == 0 or (self.until is not None and now >= self.until)


@dataclass(frozen=True, slots=True)
class Treatment:
    """What to do with one request: wait this long first, then this effect, if any."""

    latency_s: float = 0.0
    effect: Effect | None = None
    status: int | None = None


class UnknownFault(ValueError):
    """The request asks for a fault that there is not; the message says which."""


@dataclass(slots=True)
class Faults:
    """The faults in force. The first one that concerns a request is applied to it."""

    latency_ms: float = 0.0
    _faults: list[InjectedFault] = field(default_factory=list)

    def ask(self, wanted: Mapping[str, Any], now: float) -> None:
        """Put faults into force; a fault of the same effect is replaced.

        ``{"latency_ms": 50}`` · ``{"hang": true}`` · ``{"answer": {"status": 503, "count": 2, "scope": "sends"}}`` ·
        ``{"drop_after": {"seconds": 5}}`` · ``{"crash": {"on_send": 3, "when": "after"}}`` · ``{"clear": true}``.
        Raises ``UnknownFault`` and changes nothing.
        """
        clear = bool(wanted.get("clear"))
        latency_ms = 0.0 if clear else self.latency_ms
        faults = [] if clear else list(self._faults)
        for name, details in wanted.items():
            if name == "latency_ms":
                latency_ms = _number(details, name)
            elif name != "clear":
                fault = _crash(details) if name == "crash" else _timed(name, details, now)
                faults = [other for other in faults if other.effect is not fault.effect]
                faults.append(fault)
        self.latency_ms, self._faults = latency_ms, faults

    def treat(self, kind: RequestKind, now: float) -> Treatment:
        """What applies to this request; a fault that is limited by count is used up by it."""
        latency_s = self.latency_ms / 1000
        self._faults = [fault for fault in self._faults if not fault.over(now)]
        for place, fault in enumerate(self._faults):
            if not fault.scope.covers(kind):
                continue
            if fault.skip:
                self._faults[place] = replace(fault, skip=fault.skip - 1)
                continue
            if fault.count is not None:
                self._faults[place] = replace(fault, count=fault.count - 1)
            return Treatment(latency_s, fault.effect, fault.status)
        return Treatment(latency_s)

    def shown(self, now: float) -> dict[str, Any]:
        """What is in force, for people."""
        return {
            "latency_ms": self.latency_ms,
            "faults": [_shown(fault, now) for fault in self._faults if not fault.over(now)],
        }


def _timed(name: str, details: Any, now: float) -> InjectedFault:
    if name not in _TIMED:
        raise UnknownFault(f"There is no fault called {name}.")
    details = {} if details is True else details
    if not isinstance(details, Mapping):
        raise UnknownFault(f"{name} takes true or an object.")
    count, seconds = details.get("count"), details.get("seconds")
    return InjectedFault(
        Effect(name),
        _scope(details.get("scope", FaultScope.ALL)),
        None if count is None else int(_number(count, "count")),
        None if seconds is None else now + _number(seconds, "seconds"),
        _status(details) if name == Effect.ANSWER else None,
    )


def _crash(details: Any) -> InjectedFault:
    if not isinstance(details, Mapping) or details.get("when") not in ("before", "after"):
        raise UnknownFault('crash takes {"on_send": N, "when": "before" | "after"}.')
    effect = Effect.CRASH_BEFORE if details["when"] == "before" else Effect.CRASH_AFTER
    on_send = int(_number(details.get("on_send", 1), "on_send"))
    return InjectedFault(effect, FaultScope.SENDS, skip=max(0, on_send - 1))


def _scope(given: Any) -> FaultScope:
    try:
        return FaultScope(given)
    except ValueError:
        raise UnknownFault(f"scope is one of sends, lists, all; not {given}.") from None


def _status(details: Mapping[str, Any]) -> int:
    status = details.get("status")
    if status not in ANSWERS:
        raise UnknownFault(f"status is one of {sorted(ANSWERS)}; not {status}.")
    return int(status)


def _number(given: Any, name: str) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or given < 0:
        raise UnknownFault(f"{name} is a number, zero or more; not {given}.")
    return given


def _shown(fault: InjectedFault, now: float) -> dict[str, Any]:
    shown: dict[str, Any] = {"effect": fault.effect.value, "scope": fault.scope.value}
    if fault.count is not None:
        shown["count"] = fault.count
    if fault.until is not None:
        shown["seconds_left"] = round(fault.until - now, 3)
    if fault.status is not None:
        shown["status"] = fault.status
    if fault.skip:
        shown["after_sends"] = fault.skip
    return shown
