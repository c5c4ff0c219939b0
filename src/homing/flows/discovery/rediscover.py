"""Finding a session that is not where the directory says: ask the instances, believe them carefully, correct the map.

One *round* asks every instance once for its list and serves everybody who waits for any session, and every other
session that the directory has on an instance that just failed. Work is therefore proportional to instances, however
many sends fail at once. While a round runs, newcomers gather for the next: a list read before their fault could be
older than what they saw.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import assert_never

import structlog

from homing.decide.knowledge import reconcile
from homing.decide.knowledge.reconcile import (
    Absent,
    AtHome,
    ComingUp,
    Contested,
    Judgement,
    Observations,
    PlacedElsewhere,
    SetAside,
    Unlinked,
)
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.discovery.claims import borne_out
from homing.flows.discovery.corrections import correct
from homing.flows.discovery.listings import Lists
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import InstanceUrl, NoList, Route, SessionId, SessionList
from homing.model.sends.sending import (
    Finding,
    Found,
    HeldTwice,
    InQuarantine,
    Looked,
    NeedsPairing,
    NotLooked,
    Nowhere,
    Waiting,
)
from homing.ports import Clock, Directory, Entropy, Meters, StoreUnavailable

log = structlog.get_logger("homing")

ROUNDS_PER_S = 10


@dataclass(slots=True)
class _Round:
    wanted: dict[SessionId, Route] = field(default_factory=dict)
    suspects: set[InstanceUrl] = field(default_factory=set)
    done: asyncio.Future[dict[SessionId, Looked]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Rediscovery:
    """Looks for lost sessions and corrects the directory. It changes knowledge, never the world."""

    def __init__(
        self,
        directory: Directory,
        lists: Lists,
        clock: Clock,
        entropy: Entropy,
        meters: Meters,
        missed: Callable[[Route], None] = lambda _: None,
        alerts: AlertBook | None = None,
    ) -> None:
        """`missed` hears of sessions that their own instance, which answered, does not have, and no other either."""
        self._directory, self._lists, self._missed = directory, lists, missed
        self._clock, self._entropy, self._meters = clock, entropy, meters
        self._gathering: _Round | None = None
        self._runner: asyncio.Task[None] | None = None
        self._rounds_s: deque[float] = deque(maxlen=ROUNDS_PER_S)
        self._alerts = alerts or AlertBook(Unkept(), clock)

    async def look(self, route: Route) -> Looked:
        """Where the session is now, after it failed at the route's placement."""
        if self._gathering is None:
            self._gathering = _Round()
        awaited = self._gathering
        awaited.wanted[route.session_id] = route
        if route.placement.instance_url is not None:
            awaited.suspects.add(route.placement.instance_url)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.get_running_loop().create_task(self._run_rounds())
        found = await asyncio.shield(awaited.done)
        return _as_seen_from(route, found[route.session_id])

    async def close(self) -> None:
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)

    async def _run_rounds(self) -> None:
        while self._gathering is not None:
            await self._not_too_often()
            begun, self._gathering = self._gathering, None
            try:
                begun.done.set_result(await self._round(begun))
            except StoreUnavailable as error:
                begun.done.set_result(self._unreadable(begun, error))
            except BaseException as error:
                begun.done.set_exception(error)
                begun.done.exception()
                raise

    async def _not_too_often(self) -> None:
        """However many wait and for how long, instances are asked by them so often a second at most."""
        if len(self._rounds_s) == ROUNDS_PER_S:
            await self._clock.sleep(max(0.0, self._rounds_s[0] + 1.0 - self._clock.monotonic()))
        self._rounds_s.append(self._clock.monotonic())

    async def _round(self, begun: _Round) -> dict[SessionId, Looked]:
        self._meters.looked()
        listings = await self._lists.read_all()
        silent = {url for url, listing in listings.items() if isinstance(listing, NoList)}
        lost = await self._directory.routes(sessions=begun.wanted, instances=begun.suspects & silent)
        routes = {route.session_id: route for route in lost}
        observed = reconcile.observe(listings, routes)
        placements = [route.placement for route in lost]
        observed = await borne_out(observed, placements, self._directory, self._alerts, all_asked=True)
        judgements = {
            session: reconcile.judge(
                route.placement, observed, quarantined=route.quarantined, known=route.linking, owner=route.workspace_id
            )
            for session, route in routes.items()
        }
        changes = [judgement.change for judgement in judgements.values() if isinstance(judgement, PlacedElsewhere)]
        corrected = await correct(self._directory, self._meters, changes, run_id=self._entropy.uuid())
        return {
            session: self._looked(routes.get(session, route), judgements.get(session), observed, corrected)
            for session, route in begun.wanted.items()
        }

    def _looked(
        self,
        route: Route,
        judgement: Judgement | None,
        observed: Observations,
        corrected: set[SessionId],
    ) -> Looked:
        now_s = self._clock.monotonic()
        if judgement is None:
            return Looked(NotLooked("the session is not in the directory any more"), now_s)
        finding = self._finding(route, judgement, observed, corrected)
        return Looked(finding, now_s, reconcile.denied_by(route.placement, observed))

    def _finding(
        self,
        route: Route,
        judgement: Judgement,
        observed: Observations,
        corrected: set[SessionId],
    ) -> Finding:
        self._note_alerts(route, judgement, observed)
        match judgement:
            case AtHome(reason=reason):
                assert route.placement.instance_url is not None
                return Found(route.placement.instance_url, route.placement.epoch, moved=False, reason=reason)
            case PlacedElsewhere(change=change) if route.session_id in corrected:
                return Found(change.instance_url, change.epoch, moved=True, reason=change.reason)
            case PlacedElsewhere(reason=reason):
                return Waiting(f"another gateway is correcting the directory at this moment ({reason})")
            case ComingUp(reason=reason):
                return Waiting(reason)
            case Unlinked(reason=reason):
                return NeedsPairing(reason)
            case SetAside(reason=reason):
                return InQuarantine(reason)
            case Contested(claimants=claimants, reason=reason):
                return HeldTwice(claimants, reason)
            case Absent(silent=silent, reason=reason):
                self._alert(route, reason)
                if route.placement.instance_url in reconcile.denied_by(route.placement, observed):
                    self._missed(route)
                return Nowhere(len(observed.listings), silent, reason)
            case _:
                assert_never(judgement)

    def _alert(self, route: Route, reason: str) -> None:
        self._alerts.raised(
            AlertKind.SESSION_UNREACHABLE,
            Subject.session(route.session_id),
            reason,
            account_id=route.account_id,
            phone=route.phone,
            assigned_url=route.placement.instance_url,
        )

    def _note_alerts(self, route: Route, judgement: Judgement, observed: Observations) -> None:
        """Who holds it twice is an alert; that nobody does any more is only said by lists that were all read."""
        match judgement:
            case AtHome(rivals=rivals) | PlacedElsewhere(rivals=rivals):
                self._alerts.held(route.session_id)
                if rivals:
                    self._held_twice(route.session_id, f"also on {', '.join(rivals)}")
                elif all(isinstance(listing, SessionList) for listing in observed.listings.values()):
                    self._alerts.resolved(AlertKind.DUPLICATE_HOLDER, Subject.session(route.session_id))
            case Contested(claimants=claimants):
                self._held_twice(route.session_id, f"claimed by {', '.join(claimants)}")
            case _:
                pass

    def _held_twice(self, session: SessionId, reason: str) -> None:
        self._alerts.raised(AlertKind.DUPLICATE_HOLDER, Subject.session(session), reason)

    def _unreadable(self, begun: _Round, error: StoreUnavailable) -> dict[SessionId, Looked]:
        log.error("The directory could not be read or corrected", sessions=len(begun.wanted), error=str(error))
        looked = Looked(NotLooked(f"the directory is unavailable: {error}"), self._clock.monotonic())
        return dict.fromkeys(begun.wanted, looked)


def _as_seen_from(route: Route, looked: Looked) -> Looked:
    """An earlier round may have corrected the record already: for who failed at the old place it moved all the same."""
    match looked.finding:
        case Found(instance_url=url, epoch=epoch) if (url, epoch) != (
            route.placement.instance_url,
            route.placement.epoch,
        ):
            return replace(looked, finding=replace(looked.finding, moved=True))
        case _:
            return looked
