"""Asking gateways whose reports do not tell: their lists, at a rate that costs them next to nothing."""

from homing.decide.reports import polling
from homing.decide.reports.hints import Hint
from homing.decide.reports.polling import PollPolicy
from homing.flows.discovery.listings import Lists
from homing.flows.webhooks.hints import Hints
from homing.flows.webhooks.senders import ReportingFleet
from homing.model.fleet import Instance, InstanceMode, InstanceUrl, SessionId, SessionList
from homing.model.instances.gateways import DEFAULT_FAMILY
from homing.model.work import Tick
from homing.ports import Clock, Directory
from homing.ports.instances.reports import WebhookTargets

EVERY_15_S = "* * * * * */15"
ONE_TICK_S = 10.0
"""What is due beyond this has its turn at the next tick."""


class Polling:
    """Asks one instance after the other. What has changed is looked at as if it had been reported."""

    def __init__(
        self,
        fleet: ReportingFleet,
        directory: Directory,
        lists: Lists,
        hints: Hints,
        targets: WebhookTargets,
        clock: Clock,
        policy: PollPolicy,
    ) -> None:
        self._fleet, self._directory, self._lists, self._hints = fleet, directory, lists, hints
        self._targets, self._clock, self._policy = targets, clock, policy
        self._not_before_s: dict[InstanceUrl, float] = {}
        self._seen: dict[InstanceUrl, dict[SessionId, object]] = {}

    async def tick(self, _: Tick) -> str:
        """Ask those that are due. Raises StoreUnavailable."""
        if self._policy.share <= 0:
            return "nothing is asked: HOMING_POLL_SHARE is 0"
        began_s, asked = self._clock.monotonic(), 0
        connected = set(await self._targets.instances())
        for url, instance in list(self._fleet.roster.instances.items()):
            now_s = self._clock.monotonic()
            if now_s - began_s > ONE_TICK_S:
                break
            if self._is_asked(instance, url in connected) and polling.due(self._not_before_s, url, now_s):
                await self._ask(url)
                asked += 1
        return f"{asked} instances asked"

    def _is_asked(self, instance: Instance, connected: bool) -> bool:
        reports = self._fleet.reports_of(instance.driver)
        if instance.driver == DEFAULT_FAMILY or instance.mode is InstanceMode.OBSERVE:
            return False
        if not self._fleet.traits(instance.url).lists:
            return False
        return reports is None or polling.is_asked(
            retries=reports.retries, tells_status=reports.tells_status, connected=connected
        )

    async def _ask(self, url: InstanceUrl) -> None:
        began_s = self._clock.monotonic()
        listing = (await self._lists.read_some([url])).get(url)
        now_s = self._clock.monotonic()
        after_s = polling.next_after_s(now_s - began_s, self._policy)
        self._not_before_s[url] = now_s + (after_s if after_s is not None else self._policy.most_s)
        if not isinstance(listing, SessionList):
            return
        accounts = await self._directory.accounts_of(list(listing.sessions))
        for session in polling.changed(listing, accounts, self._seen.get(url, {})):
            self._hints.offer(Hint(session, polling.POLLED, url))
        self._seen[url] = polling.seen(listing)
