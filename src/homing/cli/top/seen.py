"""What the state stream told so far: its newest snapshot, and every change since."""

from collections.abc import Mapping
from typing import Any

from homing.decide.knowledge.standing import Counts, FleetConditions, FleetVerdict, Group, verdict

Row = Mapping[str, Any]
MOVES_KEPT = 200


class SeenState:
    """The rows as they are now. Nothing is known before the first snapshot."""

    def __init__(self) -> None:
        self.known = False
        self.document: dict[str, Any] = {}
        self.instances: dict[str, Row] = {}
        self.sessions: dict[str, Row] = {}
        self.moves: list[Row] = []
        self.alerts: list[Row] = []

    def tell(self, event: str, told: Mapping[str, Any]) -> None:
        """Take in one frame. Kinds that are not known are passed over: a newer gateway may have more."""
        if event == "snapshot":
            self._begin(told)
        elif event == "delta" and self.known:
            self._change(told)

    def _begin(self, told: Mapping[str, Any]) -> None:
        self.known, self.document = True, dict(told)
        self.instances = {row["url"]: row for row in told["instances"]}
        self.sessions = {row["session_id"]: row for row in told["sessions"]}
        self.moves, self.alerts = list(told["moves"]), list(told["alerts"])

    def _change(self, told: Mapping[str, Any]) -> None:
        for field in ("version", "at", "brake", "automation", "session_counts", "directory_away"):
            if field in told:
                self.document[field] = told[field]
        self.instances |= {row["url"]: row for row in told.get("instances", ())}
        self.sessions |= {row["session_id"]: row for row in told.get("sessions", ())}
        for url in told.get("instances_gone", ()):
            self.instances.pop(url, None)
        for session in told.get("sessions_gone", ()):
            self.sessions.pop(session, None)
        self.moves = sorted([*told.get("moves", ()), *self.moves], key=lambda move: -move["id"])[:MOVES_KEPT]
        if told.get("alerts") is not None:
            self.alerts = list(told["alerts"])

    def whole(self) -> dict[str, Any]:
        """All of it as one snapshot."""
        rows = {
            "instances": list(self.instances.values()),
            "sessions": list(self.sessions.values()),
            "moves": self.moves,
            "alerts": self.alerts,
        }
        return self.document | rows

    @property
    def counts(self) -> Counts:
        told = self.document.get("session_counts") or {}
        return Counts(told.get("total", 0), {group: told.get(group.value, 0) for group in Group})

    def verdict(self) -> FleetVerdict:
        """The same sentence that the page begins with, by the same judgment."""
        brake = self.document.get("brake") or {}
        braked = brake.get("reason") if brake.get("engaged") else None
        is_on = (self.document.get("automation") or {}).get("on", True)
        return verdict(self.counts, FleetConditions(braked, self.document.get("directory_away"), automation=is_on))
