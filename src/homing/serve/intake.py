"""What instances send us unasked: believed only if it is proven, stored before it is answered.

the Node service sends again after 429 and after a broken connection, and drops what meets any other answer. So
whatever keeps us from storing a report for the moment is answered with 429.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar, assert_never

import structlog

from homing.decide.reports.speakers import Introduced
from homing.flows.webhooks.intake import Intake
from homing.flows.webhooks.senders import Sender, Senders
from homing.flows.webhooks.speakers import Speakers
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, InstanceUrl, SessionId
from homing.model.instances.events import IntakeResult, Report, Signed, Taken
from homing.model.instances.report_body import BIG, Malformed, UnreadableBody, json_object, session_of
from homing.ports import Clock, Directory, StoreUnavailable
from homing.ports.aside import Aside
from homing.ports.instances.reports import Proven, RawReport, ReportRefused, TokenNeeded
from homing.serve.callers.instance_keys import InstanceKeys
from homing.serve.http.rejections import Rejections
from homing.serve.metrics import Metrics

log = structlog.get_logger("homing")

T = TypeVar("T")

OpenOn = Callable[[InstanceUrl], Awaitable[Collection[SessionId]]]
"""What an instance has open by its own list; nothing where it cannot be asked."""

ANSWER_WITHIN_S = 5.0
"""The Node service waits ten seconds. What takes us longer is carried through, and known when it comes again."""
RETRY_AFTER_S = 2
CHATS_NAMED_MAX = 200

_RESULTS = {
    Code.SIGNATURE_INVALID: IntakeResult.BAD_SIGNATURE,
    Code.SIGNATURE_EXPIRED: IntakeResult.EXPIRED,
    Code.INSTANCE_UNKNOWN: IntakeResult.UNKNOWN_INSTANCE,
    Code.INVALID_REQUEST: IntakeResult.MALFORMED,
    Code.MALFORMED_BODY: IntakeResult.MALFORMED,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of an instance: what its path and its headers say, a way to its body, and where it calls from.

    Names of headers are in small letters. `secret` is the one that its path holds, `word` what follows in it.
    """

    body: Callable[[], Awaitable[bytes]]
    instance_ref: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    secret: str | None = None
    word: str | None = None
    shown_key: str | None = None
    """A key that stands elsewhere than in a header."""
    calls_from: str = "somebody"

    @property
    def instance_url(self) -> str | None:
        return self.headers.get("x-instance-url")

    @property
    def event_id(self) -> str | None:
        return self.headers.get("x-homing-event-id")

    @property
    def api_key(self) -> str | None:
        return self.headers.get("x-api-key") or self.shown_key


class IntakeEndpoint:
    """Answers instances."""

    def __init__(
        self,
        *,
        intake: Intake,
        directory: Directory,
        speakers: Speakers,
        senders: Senders,
        keys: InstanceKeys,
        clock: Clock,
        metrics: Metrics,
        waiting_max: int,
        rejections: Rejections,
        open_on: OpenOn,
        aside: Aside,
    ) -> None:
        self._intake, self._directory, self._speakers, self._keys = intake, directory, speakers, keys
        self._senders = senders
        self._rejections, self._open_on, self._aside = rejections, open_on, aside
        self._clock, self._metrics, self._waiting_max = clock, metrics, waiting_max
        self._waiting = 0
        self._storing: set[asyncio.Task[Taken]] = set()

    async def webhook(self, asked: Asked) -> dict[str, Any]:
        """Any event of an instance, as its family tells it. All that one body tells of is stored before the answer."""
        async with self._counted():
            raw, signed, sender = await self._genuine(asked)
            told = await self._read(raw.body, partial(sender.read, raw))
            taken = [await self._told(asked, sender, report, signed) for report in told]
            return _answered(taken)

    async def _told(self, asked: Asked, sender: Sender, report: Report, signed: Signed | None) -> Taken:
        named = self._senders.ours(sender, report)
        report = replace(named, instance_url=await self._speaker(asked, named.session_id, sender))
        return await self._stored(report, signed)

    async def mark_disconnected(self, asked: Asked, session_id: str) -> dict[str, Any]:
        """An instance gives up a session; it may prove itself by its key instead of a signature."""
        async with self._counted():
            signed = None
            if asked.api_key is not None:
                self._keys.check(asked.api_key)
                raw = RawReport(await asked.body(), asked.headers)
            else:
                raw, signed, _ = await self._genuine(asked, of_webjs=True)
            body = await self._read(raw.body, partial(json_object, raw.body)) if raw.body.strip() else {}
            session = session_of(session_id)
            speaker = await self._speaker(asked, session)
            if signed is None:
                self._keys.check_of(speaker, asked.api_key)
            report = Report(
                kind="session_marked_disconnected",
                data={"reason": body.get("reason")},
                session_id=session,
                instance_url=speaker,
                sender_id=asked.event_id,
            )
            return _answered([await self._stored(report, signed)])

    async def chats_synced(self, asked: Asked) -> dict[str, Any]:
        """An instance read the chats of an account. Kept are their number and the first ids."""
        async with self._counted():
            raw, signed, _ = await self._genuine(asked, of_webjs=True)
            body = await self._read(raw.body, partial(json_object, raw.body))
            chats = body.get("chats")
            if not isinstance(chats, list):
                raise Problem(Code.INVALID_REQUEST, "`chats` must be a list", field="chats")
            account = await self._available(self._account(body.get("whatsapp_account_id")))
            data = {"count": len(chats), "chat_ids": [_chat_id(chat) for chat in chats[:CHATS_NAMED_MAX]]}
            session = account.session_id if account is not None else None
            speaker = await self._speaker(asked, session)
            await self._stored(Report("chats_sync", data, session, speaker, asked.event_id), signed)
            return {"success": True, "received": len(chats)}

    async def active_sessions(self, asked: Asked) -> dict[str, Any]:
        """The sessions that the asking instance should run: those placed on it, and no other's."""
        self._keys.check(asked.api_key)
        url = self._speakers.asking(self._introduced(asked, None), asked.calls_from, self._missing)
        if url is None:
            return {"sessions": []}
        self._keys.check_of(url, asked.api_key)
        open_there = await self._open_on(url)
        handed_out = await self._available(self._directory.hand_out(url))
        missing = [account for account in handed_out if account.session_id not in open_there]
        return {"success": True, "sessions": [_session(account) for account in missing]}

    def _missing(self, named: str, do: str) -> None:
        event = "An instance that cannot be told from others asked for its sessions; it is given none"
        self._rejections.note(("active", named), event, sender=named, do=do)

    # --- who speaks ---------------------------------------------------------------------------------------------

    async def _genuine(self, asked: Asked, *, of_webjs: bool = False) -> tuple[RawReport, Signed | None, Sender]:
        """The request and its signature, if somebody made it who knows a secret of the instance.

        `of_webjs`: it came on a path that only the Node service has.
        """
        sender = self._senders.webjs() if of_webjs else self._senders.by_ref(asked.instance_ref)
        raw = RawReport(await asked.body(), asked.headers, asked.word)
        now = self._clock.now()
        secrets = self._senders.secrets(sender, asked.secret)
        judged = await self._unhurried(raw.body, partial(sender.proof, raw, secrets, now))
        if isinstance(judged, TokenNeeded):
            known = replace(secrets, tokens=await self._senders.tokens(sender, judged.session))
            judged = await self._unhurried(raw.body, partial(sender.proof, raw, known, now))
        match judged:
            case Proven(signed=signed):
                return raw, signed, sender
            case ReportRefused(result=IntakeResult.REFUSED, reason=reason):
                raise Problem(Code.INTAKE_NOT_CONFIGURED, reason, retry_after_s=60)
            case ReportRefused(result=IntakeResult.EXPIRED, reason=reason):
                raise Problem(Code.SIGNATURE_EXPIRED, reason, at=now)
            case ReportRefused(reason=reason):
                raise Problem(Code.SIGNATURE_INVALID, reason)
            case TokenNeeded():
                raise Problem(Code.SIGNATURE_INVALID, "the token of its session is not known")
            case _:
                assert_never(judged)

    async def _read(self, raw: bytes, reading: Callable[[], T]) -> T:
        try:
            return await self._unhurried(raw, reading)
        except UnreadableBody as error:
            raise Problem(Code.MALFORMED_BODY, str(error)) from error
        except Malformed as error:
            raise Problem(Code.INVALID_REQUEST, str(error)) from error

    async def _unhurried(self, raw: bytes, work: Callable[[], T]) -> T:
        """What is done with a large body is done aside, so that nobody waits for it but its sender."""
        return await self._aside(work) if len(raw) > BIG else work()

    async def _speaker(
        self, asked: Asked, session_id: SessionId | None, sender: Sender | None = None
    ) -> InstanceUrl | None:
        """The instance that speaks; None if it names none, and nothing else tells."""
        if sender is not None and sender.url is not None and sender.is_foreign:
            return sender.url
        return await self._available(self._speakers.speaker(self._introduced(asked, session_id)))

    def _introduced(self, asked: Asked, session_id: SessionId | None) -> Introduced:
        """Reports with ids of their own come from our instances, which know the address that they are called at."""
        return Introduced(
            ref=asked.instance_ref,
            owner=self._keys.own(asked.api_key),
            named=asked.instance_url or None,
            session_id=session_id,
            knows_its_name=asked.event_id is not None,
        )

    # --- the store ----------------------------------------------------------------------------------------------

    async def _stored(self, report: Report, signed: Signed | None) -> Taken:
        loop = asyncio.get_running_loop()
        began_s, task = loop.time(), loop.create_task(self._intake.take(report, signed))
        self._storing.add(task)
        task.add_done_callback(self._done)
        taken = await self._available(asyncio.shield(task))
        self._metrics.reported(taken.result)
        self._metrics.taken_in(loop.time() - began_s)
        return taken

    def _done(self, task: asyncio.Task[Taken]) -> None:
        self._storing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("A report could not be stored; its sender is asked to send it again", error=str(error))

    async def _available(self, answer: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await answer
        except (StoreUnavailable, TimeoutError) as error:
            raise _busy("The database is away for the moment") from error

    async def _account(self, named: object) -> Account | None:
        """The account that a gateway names by its number or its uuid."""
        word = str(named).lower()
        if word.isdecimal() and len(word) < 18:
            return await self._directory.account(None, id=int(word))
        return await self._directory.account(None, uuid=word)

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        """What goes wrong is counted by what it is."""
        try:
            with self._place():
                yield
        except Problem as problem:
            self._metrics.reported(_RESULTS.get(problem.code, IntakeResult.REFUSED))
            self._rejections.note(problem.code, "Reports are refused", code=problem.code.value, newest=problem.detail)
            raise
        except Exception:
            self._metrics.reported(IntakeResult.REFUSED)
            raise

    @contextmanager
    def _place(self) -> Iterator[None]:
        """A place among those being answered, and those whose answer came too late."""
        if max(self._waiting, len(self._storing)) >= self._waiting_max:
            raise _busy(f"{self._waiting_max} reports are being stored, which is the limit")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1


def _busy(detail: str) -> Problem:
    return Problem(Code.INTAKE_BUSY, f"{detail}; send it again", retry_after_s=RETRY_AFTER_S)


def _answered(taken: Sequence[Taken]) -> dict[str, Any]:
    """By the first event of the body; nothing in it was told of for the first time: a duplicate."""
    known = all(each.result is not IntakeResult.ACCEPTED for each in taken)
    return {"success": True, "event_id": taken[0].event_id if taken else "", "duplicate": known}


def _chat_id(chat: Any) -> str | None:
    given = chat.get("id", chat.get("chat_id")) if isinstance(chat, dict) else chat
    given = given.get("_serialized") if isinstance(given, dict) else given
    return given[:200] if isinstance(given, str) else None


def _session(account: Account) -> dict[str, Any]:
    session: SessionId = account.session_id
    return {
        "id": account.id,
        "session_id": session,
        "workspace_id": account.workspace_id,
        "phone_number": account.phone,
    }
