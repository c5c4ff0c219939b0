"""Telling receivers what they do not know yet, each in turns of its own, until it has taken it.

A job of the work table is a receiver's turn, so that of several gateways one tells it. What there is to tell follows
from what stands and what the receiver was told, when the turn comes: a turn that is lost, or repeated, tells nothing
wrong. A repeat carries the same ids.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import assert_never

import structlog

from homing.decide.alerts import wording
from homing.decide.alerts.receivers import AlertBundle, AlertGroup, AlertNews, bundled, grouped, news
from homing.decide.deliveries import signing
from homing.flows.deliveries.writing import encoded, encoded_list
from homing.model.alerts import FLEET, Alert, AlertKind, Subject
from homing.model.deliveries.egress import CallAnswer
from homing.model.deliveries.endpoints import SealedSecret
from homing.model.deliveries.receivers import (
    AlertPlace,
    Receiver,
    ReceiverId,
    ReceiverKind,
    Reminding,
    ToldAlert,
)
from homing.model.notices import AlertsChanged, CacheCleared, Notice
from homing.model.work import Done, Ending, Job, NewJob, Retry
from homing.ports import Alerts, Clock, StoreUnavailable, Work
from homing.ports.deliveries.deliveries import SecretBox, SecretSealed
from homing.ports.deliveries.egress import Egress
from homing.ports.deliveries.receivers import Mail, MailCarrier, MailServer, Receivers

log = structlog.get_logger("homing")

PlacesOf = Callable[[Collection[ToldAlert]], Awaitable[Mapping[Subject, AlertPlace]]]
"""Where the subjects of alerts are. Raises StoreUnavailable."""

TELL_RECEIVER = "tell_receiver"
"""The kind of a receiver's turns."""
GATHER_S = 1.0
"""Alerts that come within this time are told together."""
LOOK_EVERY_S = 10.0
REPEAT_S = 60.0
"""How often Alertmanager is told again what stands, and how often a heartbeat is called."""
TIMEOUT_S = 10.0
AT_ONCE = 1_000
"""Alerts in one document of a webhook, or one list for Alertmanager."""
_SHORTEST_S, _LONGEST_S = 1.0, 60.0
"""Between two tries of a receiver that is away: longer the longer it has been, and never the last one."""
_STANDING_MAX = 10_000


class ReceiverTurns:
    """Does the turns."""

    def __init__(
        self,
        receivers: Receivers,
        alerts: Alerts,
        work: Work,
        egress: Egress,
        mail: MailCarrier,
        secrets: SecretBox,
        clock: Clock,
        places_of: PlacesOf,
        reminding: Mapping[AlertKind, Reminding] | None = None,
    ) -> None:
        """Of kinds in `reminding`, receivers are told again while they stand."""
        self._places_of, self._reminding = places_of, reminding or {}
        self._receivers, self._alerts, self._work = receivers, alerts, work
        self._egress, self._mail, self._secrets, self._clock = egress, mail, secrets, clock
        self._changed = asyncio.Event()

    def hear(self, notice: Notice) -> None:
        if isinstance(notice, AlertsChanged | CacheCleared):
            self._changed.set()

    async def run(self) -> None:
        """See to it that each receiver has a turn while there is something to tell it, until cancelled."""
        while True:
            try:
                await self._wake()
            except StoreUnavailable as error:
                log.warning("Receivers of alerts cannot be woken; tried again until they can", error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._changed.wait()
            self._changed.clear()

    async def _wake(self) -> None:
        receivers = await self._receivers.all()
        if not receivers:
            return
        now = await self._receivers.now()
        turns = [each for each in receivers if await self._has_news(each, now)]
        await self._work.enqueue(
            [
                NewJob(TELL_RECEIVER, {"receiver": each.id}, f"receiver {each.id}", each.id, after_s=GATHER_S)
                for each in turns
            ]
        )

    async def _has_news(self, receiver: Receiver, now: datetime) -> bool:
        is_due = receiver.last_told_at is None or now - receiver.last_told_at >= timedelta(seconds=REPEAT_S)
        if receiver.kind is ReceiverKind.HEARTBEAT:
            return is_due
        found, told = await self._news(receiver, now)
        return found.any or (receiver.kind is ReceiverKind.ALERTMANAGER and is_due and bool(told))

    async def _news(self, receiver: Receiver, now: datetime) -> tuple[AlertNews, list[ToldAlert]]:
        """Alertmanager hears all the time what stands, and reminds people by its own rules."""
        standing = await self._alerts.standing(limit=_STANDING_MAX)
        told = await self._receivers.told(receiver.id)
        reminding = self._reminding if receiver.kind is not ReceiverKind.ALERTMANAGER else {}
        return news(standing, told, await self._receivers.silences(), now, reminding), list(told.values())

    async def do(self, job: Job) -> Ending:
        """One turn of the receiver that the job names. Raises StoreUnavailable."""
        found = await self._receivers.find(ReceiverId(str(job.payload["receiver"])))
        if found is None:
            return Done("there is no such receiver any more")
        receiver, sealed = found
        try:
            secret = self._opened(receiver, sealed)
            error = await self._tell(receiver, secret)
        except SecretSealed as sealed_still:
            error = str(sealed_still)
        if error is None:
            return Done("it was told")
        await self._receivers.note(receiver.id, firing=(), resolved=(), error=error)
        if receiver.failing_since is None:
            log.warning("A receiver of alerts cannot be told; tried again", receiver=receiver.name, error=error)
        return Retry(_wait_s(receiver, await self._receivers.now()), error, counts=False)

    async def trial(self, receiver: Receiver, sealed: SealedSecret | None) -> str | None:
        """Tell it of an alert that says that it is a trial; why it was not taken, or None."""
        alert = ToldAlert("trial", _trial(self._clock.now()))
        secret = self._opened(receiver, sealed)
        if receiver.kind is ReceiverKind.ALERTMANAGER:
            document = wording.alertmanager([], [alert], {}, self._clock.now())
            return await self._post(receiver.target, encoded_list(document), {})
        trial = AlertBundle((AlertGroup(alert.alert.kind, True, (alert,)),))
        return await self._tell_bundle(receiver, secret, trial)

    def _opened(self, receiver: Receiver, sealed: SealedSecret | None) -> bytes:
        """Raises SecretSealed."""
        return b"" if sealed is None else self._secrets.unseal(f"receiver {receiver.id}", sealed)

    async def _tell(self, receiver: Receiver, secret: bytes) -> str | None:
        """All that there is to tell it; each group that it took is noted before the next."""
        now = await self._receivers.now()
        if receiver.kind is ReceiverKind.HEARTBEAT:
            return await self._noted(receiver, (), (), await self._post(receiver.target, b"", {}))
        found, told = await self._news(receiver, now)
        if receiver.kind is ReceiverKind.ALERTMANAGER:
            return await self._tell_alertmanager(receiver, found, told, now)
        places = await self._places_of([*found.firing, *found.resolved])
        groups = grouped(found, places, at_once=AT_ONCE if receiver.kind is ReceiverKind.WEBHOOK else None)
        for bundle in bundled(groups):
            for part in _parts(receiver, bundle):
                firing, resolved = (part.alerts, ()) if part.groups[0].firing else ((), part.alerts)
                error = await self._noted(receiver, firing, resolved, await self._tell_bundle(receiver, secret, part))
                if error is not None:
                    return error
        return None

    async def _tell_alertmanager(
        self, receiver: Receiver, found: AlertNews, told: Sequence[ToldAlert], now: datetime
    ) -> str | None:
        """All that stands, known or not: what it is not told again it takes for passed."""
        gone = {each.alert_id for each in found.resolved}
        new = {each.alert_id for each in found.firing}
        stands = [*(each for each in told if each.alert_id not in gone), *found.firing]
        places = await self._places_of([*stands, *found.resolved])
        for start in range(0, max(len(stands), len(found.resolved)), AT_ONCE):
            part, passed = stands[start : start + AT_ONCE], found.resolved[start : start + AT_ONCE]
            document = encoded_list(wording.alertmanager(part, passed, places, now))
            firing = [each for each in part if each.alert_id in new]
            error = await self._noted(receiver, firing, passed, await self._post(receiver.target, document, {}))
            if error is not None:
                return error
        return None

    async def _noted(
        self, receiver: Receiver, firing: Sequence[ToldAlert], resolved: Sequence[ToldAlert], error: str | None
    ) -> str | None:
        if error is None:
            await self._receivers.note(receiver.id, firing=firing, resolved=resolved)
        return error

    async def _tell_bundle(self, receiver: Receiver, secret: bytes, bundle: AlertBundle) -> str | None:
        match receiver.kind:
            case ReceiverKind.WEBHOOK:
                [group] = bundle.groups
                body = encoded(wording.document(group, self._clock.now(), bundle.where))
                signed = signing.headers([secret], f"alert_{group.id}", self._clock.now(), body)
                return await self._post(receiver.target, body, signed)
            case ReceiverKind.SLACK:
                return await self._post(receiver.target, encoded(wording.slack(bundle)), {})
            case ReceiverKind.EMAIL:
                return await self._send(receiver, secret, bundle)
            case ReceiverKind.ALERTMANAGER | ReceiverKind.HEARTBEAT:
                return await self._post(receiver.target, b"", {})
            case _:
                assert_never(receiver.kind)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> str | None:
        sent = {"content-type": "application/json", **headers}
        answer = await self._egress.post(url, body, sent, timeout_s=TIMEOUT_S)
        if not isinstance(answer, CallAnswer):
            return answer.reason
        return None if 200 <= answer.status < 300 else f"it answered {answer.status}"

    async def _send(self, receiver: Receiver, secret: bytes, bundle: AlertBundle) -> str | None:
        options = receiver.options
        server = MailServer(
            host=str(options.get("server", "localhost")),
            port=int(options.get("port", 587)),
            tls=str(options.get("tls", "starttls")),
            user=str(options.get("user", "")),
            password=secret.decode(),
        )
        sender = str(options.get("from", "homing@localhost"))
        to = tuple(each.strip() for each in receiver.target.split(",") if each.strip())
        mail = Mail(f"{bundle.id}.{receiver.id}@homing", sender, to, wording.heading(bundle), wording.text(bundle))
        return await self._mail.send(server, mail, timeout_s=TIMEOUT_S)


def _parts(receiver: Receiver, bundle: AlertBundle) -> list[AlertBundle]:
    """People are told in one message; a program gets a document for each kind, which names the trouble they share."""
    if receiver.kind is not ReceiverKind.WEBHOOK:
        return [bundle]
    return [AlertBundle((group,), bundle.where) for group in bundle.groups]


def _wait_s(receiver: Receiver, now: datetime) -> float:
    away_s = 0.0 if receiver.failing_since is None else (now - receiver.failing_since).total_seconds()
    return min(max(away_s / 4, _SHORTEST_S), _LONGEST_S)


def _trial(now: datetime) -> Alert:
    return Alert(AlertKind.BRAKE_ENGAGED, FLEET, "a trial, asked for by a person; nothing is wrong", now)
