"""Having gateways of other families report to us: asked once by an operator, and kept so from then on."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import structlog

from homing.decide.fleet.own_keys import report_secret
from homing.decide.reports import connecting
from homing.decide.reports.connecting import Wiring, WiringPlan
from homing.flows.operations.start_turns import StartTurns
from homing.flows.webhooks.senders import ReportingFleet
from homing.model.errors import Code, Problem
from homing.model.fleet import Instance, InstanceMode, InstanceUrl, SessionId
from homing.model.instances.webhooks import WebhookFound, WebhookWanted
from homing.model.sends.faults import Fault, Phase
from homing.model.work import Tick
from homing.ports import Directory
from homing.ports.instances.reports import WebhookCalls, WebhookTargets
from homing.ports.sessions.exit_proxies import KnowsExitProxies

log = structlog.get_logger("homing")

T = TypeVar("T")

ASK_TIMEOUT_S = 5.0
SET_TIMEOUT_S = 30.0
"""WAHA restarts a session whose configuration changes, which takes 13 s with NOWEB."""
AT_ONCE = 4
STARTED_LATELY_S = 180.0
EACH_MINUTES = 10
"""Sessions are looked at again every so many minutes, whatever happens, and each minute after a start."""


@dataclass(frozen=True, slots=True)
class WiredSession:
    """What became of one session, or what would."""

    session_id: SessionId
    plan: WiringPlan


@dataclass(frozen=True, slots=True)
class Wired:
    """What became of an instance's sessions. `by_hand`: its family is told elsewhere, and this is how."""

    url: InstanceUrl
    family: str
    webhook_url: str
    sessions: tuple[WiredSession, ...]
    by_hand: str | None = None


class Connecting:
    """Sets where sessions report, and puts back what was there."""

    def __init__(
        self,
        fleet: ReportingFleet,
        directory: Directory,
        targets: WebhookTargets,
        native_of: Callable[[InstanceUrl, SessionId], str],
        our_url: str,
        secret: bytes,
        healthy_for_s: Callable[[InstanceUrl], float | None],
        turns: StartTurns,
        proxies: KnowsExitProxies | None = None,
    ) -> None:
        """`healthy_for_s` tells since when an instance answers; None for one that does not. For sessions that have to
        be started anew to be told: `turns` says when, and `proxies` by which proxy each goes out."""
        self._fleet, self._directory, self._targets = fleet, directory, targets
        self._native_of, self._our_url, self._secret = native_of, our_url, secret
        self._healthy_for_s, self._turns, self._proxies = healthy_for_s, turns, proxies
        self._waiting: set[InstanceUrl] = set()
        """Where sessions that are to be told again wait for their turns."""

    async def connect(self, url: InstanceUrl, *, replace: bool = False, dry_run: bool = False) -> Wired:
        """Have the sessions that are placed on the instance report to us. Raises Problem."""
        instance = self._known(url)
        calls = self._fleet.webhooks(url)
        if calls is None:
            return Wired(url, instance.driver, self._base(instance), (), self._by_hand(instance))
        if not dry_run:
            self._may_be_told(instance)
        sessions = [placed.session_id for placed in await self._directory.placed_on(url)]
        remembered = await self._targets.of(url)

        async def one(session: SessionId) -> WiredSession:
            told = session in remembered
            return await self._connected(instance, calls, session, replace=replace or told, dry_run=dry_run)

        done = await _few_at_once(one, sessions)
        if not dry_run:
            await self.tell_drivers(url)
        return Wired(url, instance.driver, self._base(instance), tuple(done))

    async def undo(self, url: InstanceUrl, *, dry_run: bool = False) -> Wired:
        """Put back what was there before, for every session that was connected. Raises Problem."""
        instance = self._known(url)
        calls = self._fleet.webhooks(url)
        if calls is None:
            return Wired(url, instance.driver, self._base(instance), (), self._by_hand(instance))
        if not dry_run:
            self._may_be_told(instance)
        remembered = await self._targets.of(url)

        async def one(session: SessionId) -> WiredSession:
            return await self._restored(instance, calls, session, remembered[session], dry_run=dry_run)

        done = await _few_at_once(one, sorted(remembered))
        if not dry_run:
            await self.tell_drivers(url)
        return Wired(url, instance.driver, self._base(instance), tuple(done))

    async def can_again(self, url: InstanceUrl, session: SessionId) -> bool:
        """Whether the session was told where to report, and can be told again without being restarted."""
        calls = self._fleet.webhooks(url)
        return calls is not None and not calls.restarts and session in await self._targets.of(url)

    async def again(self, url: InstanceUrl, session: SessionId) -> str:
        """Tell one session again where to report; returns what became of it. Raises Problem."""
        calls = self._fleet.webhooks(url)
        if calls is None or session not in await self._targets.of(url):
            return "it was never told where to report"
        plan = await self._connected(self._known(url), calls, session, replace=True, dry_run=False)
        return f"it is told where to report: {plan.plan.reason}"

    async def tick(self, tick: Tick) -> str:
        """Set again what a gateway has lost: after a start of it, and every ten minutes. Raises StoreUnavailable."""
        put_back = looked = 0
        for url in await self._targets.instances():
            instance, calls = self._fleet.roster.instances.get(url), self._fleet.webhooks(url)
            if instance is None or calls is None or instance.mode is InstanceMode.OBSERVE:
                continue
            await self.tell_drivers(url)
            if not calls.readable or not self._is_due(instance, tick.at.minute):
                continue
            looked += 1
            put_back += await self._kept(instance, calls)
        return f"{looked} instances looked at, {put_back} sessions told again"

    async def tell_drivers(self, url: InstanceUrl) -> None:
        """Let the driver know where these sessions are to report, for those that are told when they start."""
        instance, calls = self._fleet.roster.instances.get(url), self._fleet.webhooks(url)
        if instance is not None and calls is not None:
            wanted = {self._native(url, each): self._wanted(instance, each) for each in await self._targets.of(url)}
            calls.know(url, wanted)

    # --- one session --------------------------------------------------------------------------------------------

    async def _connected(
        self, instance: Instance, calls: WebhookCalls, session: SessionId, *, replace: bool, dry_run: bool
    ) -> WiredSession:
        url, native, wanted = instance.url, self._native(instance.url, session), self._wanted(instance, session)
        found = await calls.found(url, native, wanted, timeout_s=ASK_TIMEOUT_S)
        if isinstance(found, Fault):
            return WiredSession(session, _failed(found))
        plan = connecting.plan(
            found, several=calls.several, readable=calls.readable, restarts=calls.restarts, replace=replace
        )
        if dry_run or plan.wiring is Wiring.REFUSED:
            return WiredSession(session, plan)
        await self._targets.remember(url, session, found.kept)
        if plan.wiring is not Wiring.CONNECTED:
            fault = await self._told(calls, session, instance, wanted)
            if fault is not None:
                return WiredSession(session, _failed(fault))
        return WiredSession(session, plan)

    async def _restored(
        self,
        instance: Instance,
        calls: WebhookCalls,
        session: SessionId,
        kept: Mapping[str, Any] | None,
        *,
        dry_run: bool,
    ) -> WiredSession:
        url, native, wanted = instance.url, self._native(instance.url, session), self._wanted(instance, session)
        back = connecting.shown_url(str(kept.get("url") or kept.get("webhookURL"))) if kept is not None else None
        reason = f"it reports to {back} again" if back is not None else "it does not report to this gateway any more"
        if not dry_run:
            outfitted = await self._outfitted(session, wanted)
            if isinstance(outfitted, Fault):
                return WiredSession(session, _failed(outfitted))
            fault = await calls.restore(url, native, outfitted, kept, timeout_s=SET_TIMEOUT_S)
            if fault is not None:
                return WiredSession(session, _failed(fault))
            await self._targets.forget(url, session)
        return WiredSession(session, WiringPlan(Wiring.RESTORED, reason))

    async def _kept(self, instance: Instance, calls: WebhookCalls) -> int:
        """How many sessions had to be told again. Where somebody set another address since, that stays."""
        self._waiting.discard(instance.url)
        remembered = await self._targets.of(instance.url)
        placed = {each.session_id for each in await self._directory.placed_on(instance.url)}

        async def one(session: SessionId) -> int:
            url, native, wanted = instance.url, self._native(instance.url, session), self._wanted(instance, session)
            found = await calls.found(url, native, wanted, timeout_s=ASK_TIMEOUT_S)
            if isinstance(found, Fault) or found.ours:
                return 0
            if not _is_lost(found, calls, remembered[session]):
                log.warning("A session reports elsewhere since; it is left so", session_id=session, url=url)
                return 0
            if calls.restarts and not await self._has_its_turn(session, url):
                return 0
            fault = await self._told(calls, session, instance, wanted)
            log.warning("A session had stopped reporting here; it was told again", session_id=session, url=url)
            return int(fault is None)

        return sum(await _few_at_once(one, [each for each in remembered if each in placed]))

    async def _has_its_turn(self, session: SessionId, url: InstanceUrl) -> bool:
        """Whether the session may be started anew now, by its gateway's rate; else the next tick comes back to it."""
        try:
            await self._turns.take(session, url, waits_s=0.0)
        except Problem as problem:
            self._waiting.add(url)
            log.info("A session stopped reporting here; its turn comes", session_id=session, reason=problem.detail)
            return False
        return True

    async def _told(
        self, calls: WebhookCalls, session: SessionId, instance: Instance, wanted: WebhookWanted
    ) -> Fault | None:
        outfitted = await self._outfitted(session, wanted)
        if isinstance(outfitted, Fault):
            return outfitted
        native = self._native(instance.url, session)
        return await calls.connect(instance.url, native, outfitted, timeout_s=SET_TIMEOUT_S)

    async def _outfitted(self, session: SessionId, wanted: WebhookWanted) -> WebhookWanted | Fault:
        """What a session is told, with its exit proxy: some are started anew to be told."""
        proxy = (await self._proxies.of([session])).get(session) if self._proxies is not None else None
        if isinstance(proxy, str):
            return Fault(Phase.REQUEST_REJECTED, f"{proxy}; it is not started without it")
        return wanted if proxy is None else dataclasses.replace(wanted, proxy=proxy)

    # --- where --------------------------------------------------------------------------------------------------

    def _known(self, url: InstanceUrl) -> Instance:
        instance = self._fleet.roster.instances.get(url)
        if instance is None:
            raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {url}")
        if not self._secret:
            detail = (
                "Set HOMING_SECRET (or WHATSAPP_HMAC_SECRET): the addresses that gateways report to hold a word of it"
            )
            raise Problem(Code.INTAKE_NOT_CONFIGURED, detail)
        return instance

    def _may_be_told(self, instance: Instance) -> None:
        if instance.mode is InstanceMode.OBSERVE:
            detail = f"{instance.url} is only observed: nothing of it is changed. homing instances set URL --mode route"
            raise Problem(Code.INSTANCE_OBSERVED, detail)

    def _base(self, instance: Instance) -> str:
        return f"{self._our_url}/in/{instance.id}/secret/{report_secret(self._secret, instance.url)}"

    def _native(self, url: InstanceUrl, session: SessionId) -> SessionId:
        return SessionId(self._native_of(url, session))

    def _wanted(self, instance: Instance, session: SessionId) -> WebhookWanted:
        native = self._native(instance.url, session)
        secret = report_secret(self._secret, instance.url)
        return WebhookWanted(f"{self._base(instance)}/{quote(native, safe='')}", secret)

    def _by_hand(self, instance: Instance) -> str:
        """What has to be set in the environment of its process."""
        match instance.driver:
            case "webjs":
                return f"LARAVEL_URL={self._our_url}/in/{instance.id}"
            case "wwebjs-api":
                return f"BASE_WEBHOOK_URL={self._base(instance)}"
            case _:
                return f"have it report to {self._base(instance)}"

    def _is_due(self, instance: Instance, minute: int) -> bool:
        well_for_s = self._healthy_for_s(instance.url)
        if well_for_s is None:
            return False
        lately = well_for_s < STARTED_LATELY_S or instance.url in self._waiting
        return lately or minute % EACH_MINUTES == instance.id % 10


def _is_lost(found: WebhookFound, calls: WebhookCalls, kept: Mapping[str, Any] | None) -> bool:
    """Whether ours is gone because the gateway lost it, and not because somebody chose another one."""
    before = kept.get("url") or kept.get("webhookURL") if kept is not None else None
    return calls.several or not found.others or found.others == (before,)


def _failed(fault: Fault) -> WiringPlan:
    return WiringPlan(Wiring.FAILED, str(fault))


async def _few_at_once(do: Callable[[SessionId], Awaitable[T]], sessions: Sequence[SessionId]) -> list[T]:
    places = asyncio.Semaphore(AT_ONCE)

    async def placed(each: SessionId) -> T:
        async with places:
            return await do(each)

    return await asyncio.gather(*map(placed, sessions))
