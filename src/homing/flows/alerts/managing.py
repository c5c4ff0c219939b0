"""What operators do about being told: set up receivers, try them, and silence what they know."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from homing.decide.deliveries import signing
from homing.flows.alerts.receivers import ReceiverTurns
from homing.model.alerts import About, AlertKind
from homing.model.deliveries.egress import UrlRefused
from homing.model.deliveries.endpoints import SealedSecret
from homing.model.deliveries.receivers import AlertSilence, Receiver, ReceiverId, ReceiverKind
from homing.model.errors import Code, Problem
from homing.ports import Clock, Entropy
from homing.ports.deliveries.deliveries import SecretBox, SecretSealed
from homing.ports.deliveries.egress import Egress
from homing.ports.deliveries.receivers import Receivers

_ADDRESS = re.compile(r"[^@\s,<>\"]+@[^@\s,<>\"]+")
_TLS = ("starttls", "implicit", "none")
_OPTIONS = {"server", "port", "from", "user", "tls"}


@dataclass(frozen=True, slots=True)
class MadeReceiver:
    """A receiver, with the secret that its documents are signed with, which is shown this once; empty: it has none."""

    receiver: Receiver
    secret: str


class ReceiverOperations:
    """Each raises Problem for what cannot be done, NameTaken, and StoreUnavailable."""

    def __init__(
        self,
        receivers: Receivers,
        turns: ReceiverTurns,
        egress: Egress,
        secrets: SecretBox,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._receivers, self._turns, self._egress, self._secrets = receivers, turns, egress, secrets
        self._clock, self._entropy = clock, entropy

    async def create(
        self, name: str, kind: ReceiverKind, target: str, options: Mapping[str, Any], secret: str
    ) -> MadeReceiver:
        """Tell it from now on, of what stands already too. `secret`: of mail the user's password."""
        await self._check(kind, target, options)
        named = ReceiverId(f"rc_{self._entropy.token(9).hex()}")
        receiver = Receiver(named, name, kind, target, self._clock.now(), dict(options))
        plain, shown = secret.encode(), ""
        if kind is ReceiverKind.WEBHOOK:
            plain = _given_or_fresh(secret, self._entropy)
            shown = signing.written(plain)
        try:
            sealed = self._secrets.seal(f"receiver {named}", plain) if plain else None
        except SecretSealed as error:
            raise Problem(Code.NOT_SUPPORTED, str(error)) from error
        await self._receivers.create(receiver, sealed)
        return MadeReceiver(receiver, shown)

    async def remove(self, id: ReceiverId) -> None:
        """Tell it nothing more."""
        if not await self._receivers.remove(id):
            raise _no_receiver(id)

    async def trial(self, id: ReceiverId) -> str | None:
        """Tell it that this is a trial; why it was not taken, or None."""
        found: tuple[Receiver, SealedSecret | None] | None = await self._receivers.find(id)
        if found is None:
            raise _no_receiver(id)
        try:
            return await self._turns.trial(*found)
        except SecretSealed as error:
            return str(error)

    async def silence(
        self, kind: AlertKind | None, about: About | None, subject: str, *, for_s: float, reason: str, by: str
    ) -> AlertSilence:
        """Tell nobody of alerts of this kind, and of this subject, for so long."""
        if kind is None and about is None and not subject:
            raise Problem(Code.INVALID_REQUEST, "Say what to silence: a kind, or a subject", field="kind")
        now = await self._receivers.now()
        until, named = now + timedelta(seconds=for_s), f"si_{self._entropy.token(6).hex()}"
        made = AlertSilence(named, until, reason, by, now, kind, about, subject)
        await self._receivers.silence(made)
        return made

    async def unsilence(self, id: str) -> None:
        """Tell of it again, at once if it stands."""
        if not await self._receivers.unsilence(id):
            raise Problem(Code.NOT_FOUND, f"There is no silence {id}")

    async def _check(self, kind: ReceiverKind, target: str, options: Mapping[str, Any]) -> None:
        if kind is ReceiverKind.EMAIL:
            _check_mail(target, options)
            return
        if options:
            raise Problem(Code.INVALID_REQUEST, "Only a receiver by e-mail has options", field="options")
        try:
            await self._egress.check(target)
        except UrlRefused as error:
            raise Problem(Code.URL_REFUSED, f"This receiver cannot be called: {error}", field="target") from error


def _check_mail(target: str, options: Mapping[str, Any]) -> None:
    addresses = [each.strip() for each in target.split(",")]
    if not all(_ADDRESS.fullmatch(each) for each in addresses):
        raise Problem(Code.INVALID_REQUEST, "The target of e-mail is a list of addresses with commas", field="target")
    if unknown := sorted(options.keys() - _OPTIONS):
        raise Problem(Code.INVALID_REQUEST, f"There is no option {unknown[0]!r} of e-mail", field="options")
    if "server" not in options or "from" not in options:
        raise Problem(Code.INVALID_REQUEST, "E-mail needs the options `server` and `from`", field="options")
    if options.get("tls", "starttls") not in _TLS:
        raise Problem(Code.INVALID_REQUEST, f"`tls` is one of {', '.join(_TLS)}", field="options")
    if not str(options.get("port", 587)).isdecimal():
        raise Problem(Code.INVALID_REQUEST, "`port` is a number", field="options")


def _given_or_fresh(secret: str, entropy: Entropy) -> bytes:
    try:
        return signing.read(secret) if secret else entropy.token(signing.SECRET_BYTES)
    except ValueError as error:
        raise Problem(Code.INVALID_REQUEST, str(error), field="secret") from error


def _no_receiver(id: ReceiverId) -> Problem:
    return Problem(Code.NOT_FOUND, f"There is no receiver {id}")
