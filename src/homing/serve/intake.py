"""What instances send us unasked: believed only if it is signed, stored before it is answered.

the Node service sends again after 429 and after a broken connection, and drops what meets any other answer. So
whatever keeps us from storing a report for the moment is answered with 429.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import structlog

from homing.decide.reports import meanings, signing
from homing.decide.reports.meanings import Malformed, UnreadableBody
from homing.decide.reports.speakers import Introduced
from homing.flows.webhooks.intake import Intake
from homing.flows.webhooks.speakers import Speakers
from homing.model.errors import Code, Problem
from homing.model.fleet import Account, InstanceUrl, SessionId
from homing.model.instances.events import IntakeResult, Report, Signed, Taken
from homing.ports import Clock, Directory, StoreUnavailable
from homing.ports.aside import Aside
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
    """A request of an instance: what its headers and its path say, a way to its body, and where it calls from."""

    body: Callable[[], Awaitable[bytes]]
    instance_ref: str | None = None
    instance_url: str | None = None
    timestamp: str | None = None
    signature: str | None = None
    event_id: str | None = None
    api_key: str | None = None
    calls_from: str = "somebody"


class IntakeEndpoint:
    """Answers instances."""

    def __init__(
        self,
        *,
        intake: Intake,
        directory: Directory,
        speakers: Speakers,
        keys: InstanceKeys,
        clock: Clock,
        metrics: Metrics,
        secret: str,
        waiting_max: int,
        rejections: Rejections,
        open_on: OpenOn,
        aside: Aside,
    ) -> None:
        self._intake, self._directory, self._speakers, self._keys = intake, directory, speakers, keys
        self._rejections, self._open_on, self._aside = rejections, open_on, aside
        self._clock, self._metrics, self._secret, self._waiting_max = clock, metrics, secret.encode(), waiting_max
        self._waiting = 0
        self._storing: set[asyncio.Task[Taken]] = set()

    async def webhook(self, asked: Asked) -> dict[str, Any]:
        """Any event of an instance."""
        async with self._counted():
            raw, signed = await self._genuine(asked)
            reading = partial(meanings.read, raw, header_id=asked.event_id, instance_url=None)
            report = await self._read(raw, reading)
            report = replace(report, instance_url=await self._speaker(asked, report.session_id))
            return _told(await self._stored(report, signed))

    async def mark_disconnected(self, asked: Asked, session_id: str) -> dict[str, Any]:
        """An instance gives up a session; it may prove itself by its key instead of a signature."""
        async with self._counted():
            signed = None
            if asked.api_key is not None:
                self._keys.check(asked.api_key)
                raw = await asked.body()
            else:
                raw, signed = await self._genuine(asked)
            body = await self._read(raw, partial(meanings.json_object, raw)) if raw.strip() else {}
            session = meanings.session_of(session_id)
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
            return _told(await self._stored(report, signed))

    async def chats_synced(self, asked: Asked) -> dict[str, Any]:
        """An instance read the chats of an account. Kept are their number and the first ids."""
        async with self._counted():
            raw, signed = await self._genuine(asked)
            body = await self._read(raw, partial(meanings.json_object, raw))
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

    async def _genuine(self, asked: Asked) -> tuple[bytes, Signed]:
        """The body and its signature, if somebody signed it who knows the secret."""
        if not self._secret:
            detail = "WHATSAPP_HMAC_SECRET is not set here, so no report can be believed"
            raise Problem(Code.INTAKE_NOT_CONFIGURED, detail, retry_after_s=60)
        raw = await asked.body()
        now = self._clock.now()
        judge = partial(signing.judge, self._secret, asked.timestamp, asked.signature, raw, now)
        judged = await self._unhurried(raw, judge)
        if isinstance(judged, Signed):
            return raw, judged
        if judged.result is IntakeResult.EXPIRED:
            raise Problem(Code.SIGNATURE_EXPIRED, judged.reason, at=now)
        raise Problem(Code.SIGNATURE_INVALID, judged.reason)

    async def _read(self, raw: bytes, reading: Callable[[], T]) -> T:
        try:
            return await self._unhurried(raw, reading)
        except UnreadableBody as error:
            raise Problem(Code.MALFORMED_BODY, str(error)) from error
        except Malformed as error:
            raise Problem(Code.INVALID_REQUEST, str(error)) from error

    async def _unhurried(self, raw: bytes, work: Callable[[], T]) -> T:
        """What is done with a large body is done aside, so that nobody waits for it but its sender."""
        return await self._aside(work) if len(raw) > meanings.BIG else work()

    async def _speaker(self, asked: Asked, session_id: SessionId | None) -> InstanceUrl | None:
        """The instance that speaks; None if it names none, and nothing else tells."""
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
        task = asyncio.get_running_loop().create_task(self._intake.take(report, signed))
        self._storing.add(task)
        task.add_done_callback(self._done)
        taken = await self._available(asyncio.shield(task))
        self._metrics.reported(taken.result)
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


def _told(taken: Taken) -> dict[str, Any]:
    return {"success": True, "event_id": taken.event_id, "duplicate": taken.result is not IntakeResult.ACCEPTED}


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
