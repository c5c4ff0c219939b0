"""By which proxies sessions go out: sealed when an account is given one, opened for whoever starts its session."""

from collections.abc import Callable, Collection, Mapping

from homing.decide.fleet import exit_proxies
from homing.decide.fleet.exit_proxies import NoExitProxy
from homing.flows.background.alerts import AlertBook
from homing.model.alerts import AlertKind, Subject
from homing.model.errors import Code, Problem
from homing.model.fleet import AccountUuid, SessionId
from homing.model.sessions.exit_proxies import ExitProxy, SealedExitProxy
from homing.model.work import Tick
from homing.ports.sessions.exit_proxies import ExitProxies

Seal = Callable[[str, str], str]
"""Seals a text for one owner."""
Opened = Callable[[str, str], str | None]
"""The text that was sealed for an owner; None if no secret of ours opens it."""


class OpenedExitProxies:
    """`ports.sessions.exit_proxies.KnowsExitProxies`: opened for whoever starts a session."""

    def __init__(self, kept: ExitProxies, opened: Opened) -> None:
        self._kept, self._opened = kept, opened

    async def of(self, sessions: Collection[SessionId]) -> Mapping[SessionId, ExitProxy | str]:
        kept = await self._kept.of(sessions)
        return {session: self._one(each.account_uuid, each.proxy) for session, each in kept.items()}

    def _one(self, account: AccountUuid, kept: SealedExitProxy) -> ExitProxy | str:
        url = self._opened(account, kept.sealed)
        if url is None:
            return (
                f"its account goes out by {kept.shown}, which no secret of this process opens: it belongs in"
                " HOMING_SECRET or HOMING_OLD_SECRETS, or give the proxy anew"
            )
        return exit_proxies.read(url)


class AccountsExitProxies(OpenedExitProxies):
    """What an operator says of them, too."""

    def __init__(
        self,
        kept: ExitProxies,
        seal: Seal | None,
        opened: Opened,
        alerts: AlertBook,
        *,
        sessions_max: int,
    ) -> None:
        """`seal` is None where there is no secret to seal with; `sessions_max` is of one exit."""
        super().__init__(kept, opened)
        self._seal, self._sessions_max, self._alerts = seal, sessions_max, alerts

    def check(self, given: str) -> None:
        """Raises Problem for what could not be kept as a proxy."""
        self.sealed(AccountUuid(""), given)

    def sealed(self, account: AccountUuid, given: str) -> SealedExitProxy:
        """The proxy at this address, fit to be kept for the account. Raises Problem."""
        try:
            proxy = exit_proxies.read(given)
        except NoExitProxy as error:
            raise Problem(Code.INVALID_REQUEST, str(error), field="exit_proxy") from None
        if self._seal is None:
            detail = "Set HOMING_SECRET (or WHATSAPP_HMAC_SECRET): an exit proxy is kept sealed with it"
            raise Problem(Code.INTAKE_NOT_CONFIGURED, detail)
        return SealedExitProxy(self._seal(account, proxy.url), proxy.shown, exit_proxies.name_of(proxy))

    async def tick(self, _: Tick) -> str:
        """Look which exits are used by too many or from two places; that is told for as long as it is so. Raises
        StoreUnavailable."""
        uses = await self._kept.uses()
        found = exit_proxies.misused(uses, sessions_max=self._sessions_max)
        for session, why in found.items():
            self._alerts.raised(AlertKind.EXIT_MISUSED, Subject.session(session), why)
        told = {each.subject for each in self._alerts.standing() if each.kind is AlertKind.EXIT_MISUSED}
        for subject in told - {Subject.session(each) for each in found}:
            self._alerts.resolved(AlertKind.EXIT_MISUSED, subject)
        return f"{len(uses)} sessions have an exit proxy, {len(found)} of them share theirs badly"
