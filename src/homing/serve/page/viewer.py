"""Who looks at the page, and what every page shows around its own content."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from markupsafe import Markup

import homing
from homing.decide.knowledge.standing import FleetVerdict, Group, Tone, verdict
from homing.model.alerts import AlertKind
from homing.model.directory.access import Scope
from homing.model.fleet import Account, SessionId
from homing.model.sends.messages import MessageRecord
from homing.ports import StoreUnavailable
from homing.serve.callers.access import Caller
from homing.serve.gateway import Gateway
from homing.serve.page import words
from homing.serve.state.book import Scope as StateScope
from homing.serve.state.feed import StateFeed
from homing.serve.state.live import LiveState
from homing.serve.state.rows import InstanceRow


class Shape(NamedTuple):
    """A state as it is drawn: shape, colour, and its word."""

    shape: str
    tone: str
    word: str = ""


@dataclass(frozen=True, slots=True)
class Viewer:
    """A caller who looks, at one moment."""

    gateway: Gateway
    feed: StateFeed
    caller: Caller
    csrf: str
    now: datetime
    names: dict[str, str] = field(default_factory=dict)
    root: str = ""

    @property
    def live(self) -> LiveState:
        return self.feed.live

    @property
    def scope(self) -> StateScope:
        return self.caller.workspace

    @property
    def name(self) -> str:
        return self.caller.key.name or f"key {self.caller.key.id}"

    @property
    def may_operate(self) -> bool:
        return self.has(Scope.ADMIN)

    @property
    def may_send(self) -> bool:
        """Whether what waits to be sent is theirs to change."""
        return self.has(Scope.SEND)

    def has(self, needed: Scope) -> bool:
        return self.caller.key.scope.allows(needed)

    @property
    def is_operator(self) -> bool:
        """Whether the fleet itself is theirs to see and to change."""
        return self.may_operate and self.scope is None

    @property
    def may(self) -> str:
        what = "may operate" if self.may_operate else "may send" if self.may_send else "may look"
        return what if self.scope is None else f"{what}, workspace {self.scope}"

    def short(self, url: str | None) -> str:
        return words.short(url, self.names)

    async def recent_messages(self, limit: int) -> list[MessageRecord]:
        """The newest messages that are kept; none while nobody can read them."""
        try:
            return await self.gateway.stores.messages.messages(self.scope, before=None, limit=limit)
        except StoreUnavailable:
            return []

    def account(self, session: str) -> Account | None:
        return self.live.book.account(SessionId(session))

    def phone_of(self, session: str) -> str:
        account = self.account(session)
        return words.phone(account) if account is not None else session

    def phone_numbered(self, account_id: int, otherwise: str) -> str:
        """The phone of the account with this number; as it was given while nothing is known of it."""
        session = self.live.book.session_numbered(account_id)
        return self.phone_of(session) if session is not None else otherwise


def names_in(gateway: Gateway) -> dict[str, str]:
    """What people call the instances, by their addresses."""
    return {str(url): known.name for url, known in gateway.fleet.roster.instances.items() if known.name}


_TONES = {Tone.OK: "disc", Tone.BUSY: "right", Tone.WARN: "bars", Tone.BAD: "cross", Tone.OFF: "square"}


def frame(viewer: Viewer, page: str) -> dict[str, Any]:
    """What stands around every page."""
    return {
        "viewer": viewer,
        "page": page,
        "verdict": _shown(verdict_of(viewer)),
        "nav": _nav(viewer),
        "automation": _automation(viewer),
        "stream": _stream(viewer),
        "footer": _footer(viewer),
        "database_away": _away(viewer),
        "unavailable": _unavailable(viewer),
        "version": homing.__version__,
    }


def verdict_of(viewer: Viewer) -> FleetVerdict:
    """The one sentence about all that the viewer sees."""
    return verdict(viewer.live.book.counts(viewer.scope), viewer.live.surroundings(viewer.scope))


def _shown(says: FleetVerdict) -> dict[str, str]:
    return {"shape": _TONES[says.tone], "tone": says.tone.value, "says": says.says, "more": says.more}


def _nav(viewer: Viewer) -> list[dict[str, Any]]:
    live, scope = viewer.live, viewer.scope
    counts, alerts = live.book.counts(scope), live.alerts(scope)
    deaf = len({alert.subject for alert in alerts if alert.kind in _NOT_WELL})
    under_way = counts[Group.UNDER_WAY]
    pages = [
        ("now", "Now", "", True),
        ("instances", "Instances", f"{len(live.instances(scope)):,}", True),
        ("sessions", "Sessions", f"{counts.total:,}", True),
        ("pairing", "Pairing", _number(live.book.unlinked(scope), "to link"), False),
        ("deaf", "Deaf", _number(deaf, "open"), False),
        ("moves", "Moves", f"{under_way:,} under way" if under_way else "", True),
        ("messages", "Messages", "", False),
        ("batches", "Batches", "", False),
        ("endpoints", "Endpoints", "", False),
        ("alerts", "Alerts", _number(len(alerts), "open"), True),
        ("settings", "Settings", "", False),
    ]
    return [
        {"page": page, "href": f"/{page}", "name": name, "note": note, "tab": tab} for page, name, note, tab in pages
    ]


_NOT_WELL = {AlertKind.DOUBTFUL.value, AlertKind.DEAF.value}


def _number(number: int, of: str) -> str:
    return f"{number:,} {of}" if number else ""


def _automation(viewer: Viewer) -> dict[str, Any]:
    """The brake stands by itself; the switch is people's. Why each is so is for those whom the fleet is."""
    automation, brake = viewer.gateway.moving.automation, viewer.live.brake(viewer.scope)
    on, said = automation.is_on(), automation.set
    more = "brake on" if brake.engaged else "brake off"
    if not on:
        more = f"by {said.by}, {words.moment(said.since, viewer.now)}" if automation.allowed else "by the settings"
    why = brake.reason if brake.engaged else ""
    return {
        "says": f"Automation {'on' if on else 'off'}",
        "more": more if viewer.scope is None or brake.engaged else "brake off",
        "warn": brake.engaged or not on,
        "on": on,
        "why": words.sentence(why),
        "href": "/fleet/automation" if viewer.is_operator else "",
    }


def _stream(viewer: Viewer) -> dict[str, str]:
    """As it is before the script says otherwise: a page of one moment."""
    if viewer.live.directory_away is not None:
        read = words.moment(viewer.live.read_at, viewer.now)
        return {"shape": "up", "tone": "warn", "says": f"As of {read}", "more": "the database is away"}
    return {"shape": "square", "tone": "off", "says": f"As of {viewer.now:%H:%M:%S}", "more": "this page stands still"}


def _away(viewer: Viewer) -> dict[str, str] | None:
    """What is said of the database while it does not answer: since when, and how old what is shown is."""
    live = viewer.live
    if live.directory_away is None:
        return None
    return {
        "says": f"The database is away since {words.moment(live.away_since, viewer.now)}.",
        "more": f"What is shown is of {words.moment(live.read_at, viewer.now)},"
        f" {words.ago(live.read_at, viewer.now)} old. Sends on known routes go on; actions wait until it is back.",
    }


def _unavailable(viewer: Viewer) -> Markup:
    """An attribute for buttons that cannot be used now, with why."""
    if viewer.live.directory_away is None:
        return Markup()
    return Markup(' aria-disabled="true" title="The database is away; nothing can be changed until it is back"')


def _footer(viewer: Viewer) -> str:
    dialect = viewer.gateway.stores.database.dialect
    return {"postgresql": "PostgreSQL"}.get(dialect, "SQLite")


def health_shape(row: InstanceRow) -> Shape:
    """An instance's state; that it is ill outweighs that it is being emptied."""
    word = "draining" if row.health == "healthy" and row.state == "draining" else row.health
    return Shape(*words.HEALTH_SHAPES.get(word, ("square", "off")), word)
