"""Keeping the state of the fleet up to date, at a cost that follows what changes and not who watches.

Notices say which sessions to read again; what no notice tells of is found by reading everything now and then, the less
often the longer that takes. Nothing runs until somebody asks for the state, or the process says that it serves.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never

import structlog

from homing.decide.knowledge import presence
from homing.decide.knowledge.standing import FleetConditions, Standing, standing
from homing.model.alerts import About, Alert, AlertKind
from homing.model.fleet import Account, Instance, InstanceUrl, Move, MoveKind, SessionId, WorkspaceId
from homing.model.instances.health import HealthJudgment, HealthState, shown_state
from homing.ports import (
    AccountChanged,
    CacheCleared,
    EventsStored,
    Notice,
    Page,
    PlacementChanged,
    StoreUnavailable,
)
from homing.serve.api.fleet.instance_shapes import BrakeView, brake_view
from homing.serve.gateway import Gateway
from homing.serve.state.book import Scope, SessionBook
from homing.serve.state.finding import Finder, Sign
from homing.serve.state.history import DAY, MoveHistory, SampleHistory
from homing.serve.state.rows import AlertRow, AutomationRow, InstanceRow, alert_row

log = structlog.get_logger("homing")

TICK_S = 0.25
AT_ONCE = 200
"""Sessions read, and told, at a time."""
MOVES_KEPT = 2_000
READ_ALL_EVERY_S = 2.0
READ_ALL_SHARE = 30
"""Reading everything takes at most one part in so many of the time."""
REASON_EVERY_S = 1.0
"""A reason whose figures only grow is told anew so often."""


@dataclass(slots=True)
class Change:
    """What was found to be different since the last version."""

    sessions: set[SessionId] = field(default_factory=set)
    gone: dict[SessionId, WorkspaceId] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    instances: set[InstanceUrl] = field(default_factory=set)
    """Those that may be told otherwise than before, or are gone."""
    alerts: bool = False
    other: bool = False

    def __bool__(self) -> bool:
        return bool(self.sessions or self.gone or self.moves or self.instances or self.alerts or self.other)


@dataclass(frozen=True, slots=True)
class _Judgment:
    """How an instance is told to be; `told_s` is when that was put in these words."""

    health: str
    reason: str
    since: datetime
    since_s: float
    told_s: float


class LiveState:
    """What this gateway knows of the fleet."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.book, self.history, self.move_history = SessionBook(), SampleHistory(), MoveHistory()
        self.finder = Finder(self.book, self._signed, self._drivers, gateway.clock)
        self.moves: list[Move] = []
        """The newest first."""
        self.directory_away: str | None = None
        self.away_since: datetime | None = None
        self.read_at: datetime | None = None
        """When the directory was last read without a fault."""
        self._judgments: dict[InstanceUrl, _Judgment] = {}
        self._faces: dict[InstanceUrl, tuple[Instance, str | None]] = {}
        """Each instance of the roster, and its version as it last said."""
        self._away: frozenset[InstanceUrl] = frozenset()
        self._alerts: frozenset[Alert] = frozenset()
        self._alerts_of: dict[SessionId, set[AlertKind]] = {}
        self._brake: BrakeView = brake_view(gateway.keeper.brake)
        self._automation = AutomationRow()
        self._dirty: set[SessionId] = set()
        self._moves_dirty, self._read_all_at_s = True, float("-inf")
        self._cleared = False
        self._told: Callable[[Change], None] = lambda _: None
        self._task: asyncio.Task[None] | None = None
        self._read_once = asyncio.Event()
        self.known = False
        """Whether every session was read once."""

    # --- running ------------------------------------------------------------------------------------------------

    def start(self, told: Callable[[Change], None]) -> None:
        """Begin, if it has not begun; `told` hears of every change."""
        if self._task is None:
            self._told = told
            self._gateway.stores.notices.subscribe(self.hear)
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def until_known(self, at_most_s: float = 5.0) -> bool:
        """Whether every session was read by then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._read_once.wait()
        return self._read_once.is_set()

    def hear(self, notice: Notice) -> None:
        match notice:
            case PlacementChanged(session_id=session):
                self._dirty.add(session)
                self._moves_dirty = True
            case AccountChanged(account_uuid=uuid):
                known = self.book.session_of(uuid) if uuid is not None else None
                if known is not None:
                    self._dirty.add(known)
                else:
                    self._cleared = True
            case CacheCleared() | EventsStored():
                self._cleared = True
            case _:
                pass

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except StoreUnavailable as error:
                self._is_away(str(error))
            except Exception:
                log.exception("The state of the fleet could not be brought up to date; tried again")
                await self._gateway.clock.sleep(1.0)
            await self._gateway.clock.sleep(TICK_S)

    # --- looking ------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """One look at everything that may have changed."""
        change = Change()
        self._look_at_instances(change)
        self._look_at_alerts(change)
        self._look_at_brake(change)
        self._tell(change)
        if self._dirty:
            await self._read_dirty()
        if self._moves_dirty:
            await self._read_moves()
        if self._may_read_all():
            await self._read_all()
        self.history.note(self._gateway.clock.now(), self.book.counts(None), self._gateway)

    def _tell(self, change: Change) -> None:
        change.instances |= self.book.touched()
        if change:
            self._told(change)

    def _look_at_instances(self, change: Change) -> None:
        watching, now = self._gateway.watching, self._gateway.clock.now()
        now_s, wrong = self._gateway.clock.monotonic(), self._gateway.fitness.misconfigured()
        judged = {url: self._judgment(url, each, wrong.get(url), now, now_s) for url, each in watching.judged().items()}
        faces = {url: (instance, self._version(url)) for url, instance in self._gateway.fleet.roster.instances.items()}
        change.instances |= _differing(self._judgments, judged) | _differing(self._faces, faces)
        self._judgments, self._faces = judged, faces
        away = watching.down()
        for url in away ^ self._away:
            self._away = away
            self._restate(self.book.on(url), change)

    def _judgment(
        self, url: InstanceUrl, judged: HealthJudgment, wrong: str | None, now: datetime, now_s: float
    ) -> _Judgment:
        health = shown_state(judged, wrong is not None)
        reason = (
            ""
            if health == HealthState.HEALTHY.value
            else wrong
            if wrong and judged.state is not HealthState.DOWN
            else judged.reason
        )
        before = self._judgments.get(url)
        if before is not None and (before.health, before.since_s) == (health, judged.since_s):
            if before.reason == reason or now_s - before.told_s < REASON_EVERY_S:
                return before
            return _Judgment(health, reason, before.since, judged.since_s, now_s)
        since = now - timedelta(seconds=max(0.0, now_s - judged.since_s))
        return _Judgment(health, reason, since.replace(microsecond=0), judged.since_s, now_s)

    def _look_at_alerts(self, change: Change) -> None:
        standing_now = frozenset(self._gateway.alerts.standing())
        if standing_now == self._alerts:
            return
        touched = {
            SessionId(alert.subject.name)
            for alert in standing_now ^ self._alerts
            if alert.subject.about is About.SESSION
        }
        self._alerts, change.alerts = standing_now, True
        self._alerts_of = {}
        for alert in standing_now:
            if alert.subject.about is About.SESSION:
                self._alerts_of.setdefault(SessionId(alert.subject.name), set()).add(alert.kind)
        self._restate(touched, change)

    def automation(self, scope: Scope) -> AutomationRow:
        """Who turned it, is the operators' business."""
        automation, said = self._gateway.moving.automation, self._gateway.moving.automation.set
        on = automation.is_on()
        return AutomationRow(on, said.by, said.since) if scope is None else AutomationRow(on)

    def _look_at_brake(self, change: Change) -> None:
        automation = self.automation(None)
        if automation != self._automation:
            self._automation, change.other = automation, True
        brake = brake_view(self._gateway.keeper.brake)
        if brake.engaged != self._brake.engaged or (brake.engaged and brake.reason != self._brake.reason):
            self._brake, change.other = brake, True

    def _restate(self, sessions: Iterable[SessionId], change: Change) -> None:
        for session in sessions:
            account = self.book.account(session)
            if account is not None and self._put(account):
                change.sessions.add(session)

    def _put(self, account: Account) -> bool:
        status, _ = presence.status_now(account, self._gateway.clock.now(), self._away)
        alerts: Collection[AlertKind] = self._alerts_of.get(account.session_id, ())
        stands: Standing = standing(
            status, account.placement.state, alerts, mismatched=account.mismatched_phone is not None
        )
        return self.book.put(account, status, stands)

    # --- reading ------------------------------------------------------------------------------------------------

    async def _read_dirty(self) -> None:
        sessions = sorted(self._dirty)[:AT_ONCE]
        self._dirty.difference_update(sessions)
        try:
            accounts = await self._gateway.stores.directory.accounts_of(sessions)
        except StoreUnavailable:
            self._dirty.update(sessions)
            raise
        self._enter(accounts, set(sessions))
        self._is_back()

    async def _read_moves(self) -> None:
        self._moves_dirty, now = False, self._gateway.clock.now()
        known = {move.id: move for move in self.moves}
        newest = self.moves[0].id if self.moves else 0
        found: list[Move] = []
        after = 0
        try:
            while len(found) < MOVES_KEPT:
                page = await self._gateway.stores.directory.moves(None, Page(after, 200))
                found += page
                if len(page) < 200 or page[-1].id <= newest or now - page[-1].at > DAY:
                    break
                after = page[-1].id
        except StoreUnavailable:
            self._moves_dirty = True
            raise
        new = [move for move in found if known.get(move.id) != move]
        self.move_history.note((move for move in found if move.id > newest), now)
        merged = {**known, **{move.id: move for move in found}}
        self.moves = [merged[number] for number in sorted(merged, reverse=True)[:MOVES_KEPT]]
        self._tell(Change(moves=new))

    def _may_read_all(self) -> bool:
        now_s = self._gateway.clock.monotonic()
        return now_s >= self._read_all_at_s or (self._cleared and now_s >= self._read_all_at_s - READ_ALL_EVERY_S)

    async def _read_all(self) -> None:
        """Every session, a page at a time; whatever was not there is gone."""
        began_s, self._cleared = self._gateway.clock.monotonic(), False
        unseen, after = set(self.book.sessions()), 0
        while True:
            page = await self._gateway.stores.directory.accounts(None, Page(after, AT_ONCE))
            unseen.difference_update(account.session_id for account in page)
            self._enter(page, set())
            if len(page) < AT_ONCE:
                break
            after = page[-1].id
            await self._gateway.clock.sleep(0.005)
        self._enter((), unseen)
        if not self.known:
            self.known = True
            self._read_once.set()
            self._tell(Change(other=True))
        took_s = self._gateway.clock.monotonic() - began_s
        self._read_all_at_s = began_s + max(READ_ALL_EVERY_S, took_s * READ_ALL_SHARE)
        self._moves_dirty = True
        self._is_back()

    def _enter(self, accounts: Sequence[Account], asked: set[SessionId]) -> None:
        """What was read. Those `asked` for that are not among it are gone."""
        change = Change()
        for account in accounts:
            asked.discard(account.session_id)
            if self._put(account):
                change.sessions.add(account.session_id)
        for session in asked:
            gone = self.book.drop(session)
            if gone is not None:
                change.gone[session] = gone.workspace_id
        self._tell(change)

    def _is_away(self, why: str) -> None:
        if self.directory_away is None:
            self.directory_away, self.away_since = why, self._gateway.clock.now()
            self._tell(Change(other=True))

    def _is_back(self) -> None:
        self.read_at = self._gateway.clock.now()
        if self.directory_away is not None:
            self.directory_away = self.away_since = None
            self._tell(Change(other=True))

    # --- what is shown of it ------------------------------------------------------------------------------------

    def instances(self, scope: Scope) -> list[InstanceRow]:
        """A workspace is shown those where its sessions are, and not what is wrong with them."""
        roster = self._gateway.fleet.roster.instances
        found = [self._instance(instance, scope) for instance in roster.values()]
        return [row for row in found if scope is None or row.sessions]

    def instance(self, url: InstanceUrl, scope: Scope) -> InstanceRow | None:
        """One of these."""
        instance = self._gateway.fleet.roster.instances.get(url)
        row = self._instance(instance, scope) if instance is not None else None
        return row if row is not None and (scope is None or row.sessions) else None

    def _version(self, url: InstanceUrl) -> str | None:
        said = self._gateway.watching.health_of(url)
        return said.version if said is not None else None

    def _instance(self, instance: Instance, scope: Scope) -> InstanceRow:
        judged = self._judgments.get(instance.url)
        return InstanceRow(
            id=instance.id,
            url=instance.url,
            name=instance.name,
            driver=instance.driver,
            version=self._version(instance.url),
            mode=instance.mode.value,
            state=instance.state.value,
            health=judged.health if judged is not None else HealthState.HEALTHY.value,
            reason=judged.reason if judged is not None and scope is None else "",
            since=judged.since if judged is not None else None,
            capacity=instance.capacity if scope is None else None,
            sessions=self.book.placed_on(scope, instance.url),
            can_send=self.book.can_send_on(scope, instance.url),
        )

    def alerts(self, scope: Scope) -> list[AlertRow]:
        """The oldest first. A workspace is shown those about its own sessions."""
        seen = sorted(self._alerts, key=lambda each: (each.raised_at, each.subject.name, each.kind))
        return [alert_row(alert) for alert in seen if scope is None or self._is_of(alert, scope)]

    def any_alerted(self, sessions: Iterable[SessionId]) -> bool:
        """Whether an alert stands about one of these."""
        return any(session in self._alerts_of for session in sessions)

    def _is_of(self, alert: Alert, scope: WorkspaceId) -> bool:
        if alert.subject.about is not About.SESSION:
            return False
        account = self.book.account(SessionId(alert.subject.name))
        return account is not None and account.workspace_id == scope

    def _signed(self, sign: Sign) -> list[SessionId]:
        match sign:
            case Sign.DEAF:
                return self._with_alert(AlertKind.DEAF, AlertKind.DOUBTFUL)
            case Sign.DUPLICATE:
                return self._with_alert(AlertKind.DUPLICATE_HOLDER)
            case Sign.UNPAIRED:
                return self.book.to_link()
            case _:
                assert_never(sign)

    def _with_alert(self, *kinds: AlertKind) -> list[SessionId]:
        found = [session for session, alerts in self._alerts_of.items() if not alerts.isdisjoint(kinds)]
        return [session for session in found if self.book.account(session) is not None]

    def _drivers(self) -> dict[str, str]:
        return {str(url): instance.driver for url, instance in self._gateway.fleet.roster.instances.items()}

    def brake(self, scope: Scope) -> BrakeView:
        """Why, is the operators' business: it speaks of the whole fleet."""
        return self._brake if scope is None else BrakeView(self._brake.engaged, "")

    def moves_of(self, scope: Scope) -> list[Move]:
        return [move for move in self.moves if scope is None or move.workspace_id == scope]

    def moved_since(self, scope: Scope, at: datetime) -> list[Move]:
        """What moved since then. A first placement is no move."""
        return [move for move in self.moves_of(scope) if move.at >= at and move.kind is not MoveKind.PLACEMENT]

    def surroundings(self, scope: Scope) -> FleetConditions:
        since = self._gateway.clock.now() - timedelta(hours=1)
        return FleetConditions(
            braked=(self._brake.reason if scope is None else "so much of the fleet seems gone at once")
            if self._brake.engaged
            else None,
            directory_away=self.directory_away,
            automation=self._gateway.moving.automation.is_on(),
            moves_last_hour=len(self.moved_since(scope, since)),
        )


def _differing(before: Mapping[InstanceUrl, object], after: Mapping[InstanceUrl, object]) -> set[InstanceUrl]:
    """The instances of which not the same is known as before."""
    changed = {url for url, known in after.items() if before.get(url) != known}
    return changed | (before.keys() - after.keys())
