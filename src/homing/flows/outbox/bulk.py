"""Taking a batch in: line by line as they come, kept some hundred at a time, and nothing of it sent before its end."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec
import structlog

from homing.decide.outbox.chats import chat_of
from homing.decide.sending import idempotency
from homing.flows.media.intake import MediaIntake
from homing.flows.outbox.batch_files import BatchFiles
from homing.flows.outbox.bulk_lines import BulkLine
from homing.model.errors import Code, Problem
from homing.model.fleet import AccountUuid, Route, WorkspaceId
from homing.model.sends import content_json
from homing.model.sends.content import words_of
from homing.model.sends.outbox import Batch, BatchState, InvalidLine, NewBatch, NewMessage
from homing.model.sends.sending import Text
from homing.ports import Clock, Entropy, Outbox, Routes, StoreUnavailable

log = structlog.get_logger("homing")
_encoded = msgspec.json.Encoder().encode

LINES_MAX = 1_000_000
ROUTES_MAX = 1_000
"""So many accounts of a batch are remembered; a list may name as many that do not exist as it has lines."""
_AT_ONCE = 500
SWEEP_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class BulkWish:
    """What is to be done with the lines: under which name and key, when, and whether one bad line spoils all."""

    workspace_id: WorkspaceId
    name: str
    key: str | None
    fingerprint: str | None
    all_or_nothing: bool
    after_s: float
    max_age_s: float


class _Fingerprint:
    """What makes two requests the same batch, taken of the lines as they pass."""

    def __init__(self, wish: BulkWish) -> None:
        self._hash = sha256(_encoded([wish.name, wish.all_or_nothing, wish.max_age_s]))

    async def of(self, lines: AsyncIterable[BulkLine | InvalidLine]) -> AsyncIterator[BulkLine | InvalidLine]:
        async for line in lines:
            self._hash.update(_encoded(_told(line)))
            yield line

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _told(line: BulkLine | InvalidLine) -> list[Any]:
    if isinstance(line, InvalidLine):
        return [line.line, line.code]
    said = content_json.identity(line.asked.content)
    return [line.line, line.asked.account_uuid, str(line.recipient.address), said]


def _is_of(known: Batch, fingerprint: str) -> bool:
    """Of batches that were taken by a release before, nobody knows."""
    return known.fingerprint in (None, fingerprint)


class Bulk:
    """Takes batches in, and carries through what is decided of them."""

    def __init__(
        self, outbox: Outbox, routes: Routes, media: MediaIntake, clock: Clock, entropy: Entropy, *, secret: bytes
    ) -> None:
        self._outbox, self._routes, self._clock, self._entropy = outbox, routes, clock, entropy
        self._media, self._secret = media, secret

    async def take(self, wish: BulkWish, lines: AsyncIterable[BulkLine | InvalidLine]) -> Batch:
        """The batch, running, or rejected if one line was invalid and all or nothing was wanted.

        Raises Problem and StoreUnavailable; then nothing of it will be sent.
        """
        new = NewBatch(self._entropy.uuid(), wish.workspace_id, wish.name, wish.key, wish.fingerprint)
        known = await self._outbox.begin_batch(new)
        if known is not None:
            return await self._same(known, wish, lines)
        seen = _Fingerprint(wish)
        try:
            invalid, valid = await self._received(new, wish, seen.of(lines))
        except BaseException:
            await self._reject(new, "its request broke off")
            raise
        if not valid or (invalid and wish.all_or_nothing):
            await self._reject(new, f"{invalid} lines are invalid" if invalid else "it has no lines")
        else:
            await self._outbox.change_batch(None, new.id, BatchState.RUNNING, "", fingerprint=seen.digest)
        found = await self._outbox.batch(None, new.id)
        assert found is not None
        return found

    async def _same(self, known: Batch, wish: BulkWish, lines: AsyncIterable[BulkLine | InvalidLine]) -> Batch:
        """The batch that its key was used for, if this is the same request. Raises Problem."""
        seen = _Fingerprint(wish)
        async for _ in seen.of(lines):
            pass
        if not _is_of(known, seen.digest):
            detail = f"This Idempotency-Key was used for another batch ({known.id})"
            raise Problem(Code.IDEMPOTENCY_KEY_REUSED, detail, field="Idempotency-Key")
        return known

    async def _received(
        self, new: NewBatch, wish: BulkWish, lines: AsyncIterable[BulkLine | InvalidLine]
    ) -> tuple[int, int]:
        """How many lines were invalid, and how many became messages."""
        routes: dict[AccountUuid, Route | None] = {}
        files = BatchFiles(self._media, wish.workspace_id, wish.after_s + wish.max_age_s)
        messages: list[NewMessage] = []
        invalid: list[InvalidLine] = []
        bad = good = 0
        async for line in files.beside(lines):
            made = line if isinstance(line, InvalidLine) else await self._made(new, wish, line, routes)
            if isinstance(made, InvalidLine):
                invalid.append(made)
                bad += 1
            else:
                messages.append(made)
                good += 1
            if len(messages) + len(invalid) >= _AT_ONCE:
                await self._outbox.add_to_batch(new.id, messages, invalid)
                messages, invalid = [], []
        if messages or invalid:
            await self._outbox.add_to_batch(new.id, messages, invalid)
        return bad, good

    async def _made(
        self, new: NewBatch, wish: BulkWish, line: BulkLine, routes: dict[AccountUuid, Route | None]
    ) -> NewMessage | InvalidLine:
        account = line.asked.account_uuid
        if account not in routes:
            if len(routes) >= ROUTES_MAX:
                routes.clear()
            routes[account], _ = await self._routes.route(wish.workspace_id, account, None)
        if routes[account] is None:
            return InvalidLine(line.line, Code.ACCOUNT_NOT_FOUND.value, f"There is no account {account}")
        content, place = line.asked.content, f"{new.id}:{line.line}"
        text = Text(
            uuid=self._entropy.uuid(),
            message_id=idempotency.derived_message_id(self._secret, wish.workspace_id, account, place),
            workspace_id=wish.workspace_id,
            account_uuid=account,
            recipient_phone=str(line.recipient.address),
            text=words_of(content),
            phone_as_written=line.recipient.written,
            content=content,
        )
        chat = chat_of(line.recipient.address)
        written = content_json.written(content)
        return NewMessage(text, chat, written, wish.after_s, wish.max_age_s, batch_id=new.id)

    async def _reject(self, new: NewBatch, why: str) -> None:
        try:
            await self._outbox.change_batch(None, new.id, BatchState.REJECTED, why)
        except StoreUnavailable as error:
            log.warning("A batch that broke off is forgotten later", batch=new.id, error=str(error))

    async def run(self) -> None:
        """Carry through what was decided of batches, until cancelled."""
        while True:
            await self._clock.sleep(SWEEP_EVERY_S)
            try:
                while await self._outbox.sweep_batches() > 1_000:
                    await self._clock.sleep(0.05)
            except StoreUnavailable as error:
                log.warning("Batches could not be looked after", error=str(error))
