"""The lines of a bulk request, read one after the other from a body of any length.

`application/x-ndjson`: one JSON object for each message, with the fields of a message's body, and `variables` where a
template is given. `text/csv` (RFC 4180, UTF-8): a first line with the columns' names; `phone`, `message` and
`account_uuid` are what they are elsewhere, and every other column is a variable.
"""

import csv
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from homing.decide.outbox import templates
from homing.flows.media.outgoing import MediaLinks
from homing.flows.outbox.bulk import LINES_MAX
from homing.flows.outbox.bulk_lines import BulkLine
from homing.flows.sending.accept import AskedSend
from homing.model.errors import Code, Problem
from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.sends.outbox import InvalidLine
from homing.serve.api.fields import Phone, Uuid
from homing.serve.callers.workspaces import Workspaces
from homing.serve.content import MESSAGE_MAX, ContentFields, content_of
from homing.serve.http import readable

LINE_BYTES_MAX = 262_144
_MINE = frozenset({"phone", "message", "account_uuid"})


class BulkBody(ContentFields, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One line: a message to one chat, from `account_uuid` where that is not the request's."""

    phone: Phone
    account_uuid: Uuid | None = None
    variables: Annotated[dict[str, str], Meta(max_length=1_000)] = {}  # noqa: RUF012 - msgspec copies it


@dataclass(frozen=True, slots=True)
class Bulkhead:
    """What is the same for all lines."""

    workspace_id: WorkspaceId
    account_uuid: AccountUuid | None
    template: str | None
    places: tuple[str, ...]
    workspaces: Workspaces
    links: MediaLinks


_decode = msgspec.json.Decoder(BulkBody).decode


async def ndjson(chunks: AsyncIterable[bytes], head: Bulkhead) -> AsyncIterator[BulkLine | InvalidLine]:
    """Raises Problem for more lines than are taken."""
    async for number, raw in _lines(chunks):
        if raw is None:
            yield _too_long(number)
        elif raw.strip():
            yield _read(number, raw, head)


def _read(number: int, raw: bytes, head: Bulkhead) -> BulkLine | InvalidLine:
    try:
        return _line(number, readable.read(raw, _decode), head)
    except Problem as problem:
        return InvalidLine(number, problem.code.value, problem.detail)


async def comma_separated(chunks: AsyncIterable[bytes], head: Bulkhead) -> AsyncIterator[BulkLine | InvalidLine]:
    """Raises Problem for columns that cannot be told apart, and for more lines than are taken."""
    columns: list[str] | None = None
    async for number, raw in _records(chunks):
        if raw is None:
            yield _too_long(number)
            continue
        cells = _cells(raw)
        if columns is None:
            columns = _columns(cells)
        elif cells is None:
            yield InvalidLine(number, Code.MALFORMED_BODY.value, "The line is not UTF-8, or is no CSV")
        elif cells:
            yield _row(number, columns, cells, head)


def _columns(cells: list[str] | None) -> list[str]:
    names = [cell.strip() for cell in cells or []]
    if "phone" not in names or len(set(names)) < len(names) or "" in names:
        detail = "The first line of a CSV names its columns, each once, and `phone` is one of them"
        raise Problem(Code.INVALID_REQUEST, detail, field="body")
    return names


def _row(number: int, columns: list[str], cells: list[str], head: Bulkhead) -> BulkLine | InvalidLine:
    if len(cells) != len(columns):
        detail = f"The line has {len(cells)} cells, and there are {len(columns)} columns"
        return InvalidLine(number, Code.MALFORMED_BODY.value, detail)
    given = dict(zip(columns, cells, strict=True))
    fields: dict[str, Any] = {name: given[name] for name in _MINE if given.get(name)}
    variables = {name: value for name, value in given.items() if name not in _MINE}
    try:
        body = msgspec.convert({**fields, "variables": variables}, BulkBody)
        return _line(number, body, head)
    except msgspec.ValidationError as error:
        return InvalidLine(number, Code.INVALID_REQUEST.value, str(error))
    except Problem as problem:
        return InvalidLine(number, problem.code.value, problem.detail)


def _line(number: int, body: BulkBody, head: Bulkhead) -> BulkLine:
    account = AccountUuid(body.account_uuid.lower()) if body.account_uuid is not None else head.account_uuid
    if account is None:
        raise Problem(Code.INVALID_REQUEST, "Neither the line nor the request names an account", field="account_uuid")
    recipient = head.workspaces.recipient(head.workspace_id, body.phone)
    fields = body if head.template is None else _with_text(body, head.template, head.places)
    kept = head.links.named(head.workspace_id, fields.media_id) if fields.media_id is not None else None
    content = content_of(fields, lambda text: head.workspaces.recipient(head.workspace_id, text).address, kept=kept)
    asked = AskedSend(head.workspace_id, account, content, phone=body.phone)
    return BulkLine(number, asked, recipient)


def _with_text(body: BulkBody, template: str, places: tuple[str, ...]) -> BulkBody:
    if body.message is not None:
        raise Problem(Code.INVALID_REQUEST, "Give either a template or a message, not both", field="message")
    lacking = templates.missing(places, body.variables)
    if lacking:
        detail = f"The template needs {', '.join(lacking)}, and the line has no such variable"
        raise Problem(Code.VARIABLE_MISSING, detail, field="variables")
    length = templates.length_of(template, body.variables)
    if length > MESSAGE_MAX:
        detail = f"With this line's variables the text has {length} characters; at most {MESSAGE_MAX} are taken"
        raise Problem(Code.INVALID_REQUEST, detail, field="variables")
    return msgspec.structs.replace(body, message=templates.filled(template, body.variables))


def template_of(given: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The template and its variables. Raises Problem."""
    if given is None:
        return None, ()
    try:
        return given, templates.places(given)
    except ValueError as error:
        raise Problem(Code.INVALID_REQUEST, f"The template cannot be read: {error}", field="template") from error


def _too_long(number: int) -> InvalidLine:
    return InvalidLine(number, Code.BODY_TOO_LARGE.value, f"The line is longer than {LINE_BYTES_MAX} bytes")


def _cells(raw: bytes) -> list[str] | None:
    try:
        return next(csv.reader([raw.decode("utf-8-sig")], strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        return None


async def _records(chunks: AsyncIterable[bytes]) -> AsyncIterator[tuple[int, bytes | None]]:
    """Lines of a CSV, where one in quotes may go over several. Each byte is looked at once, however short lines are."""
    begun, length, quotes, parts = 0, 0, 0, list[bytes]()
    async for number, raw in _lines(chunks):
        begun = begun if parts else number
        if raw is not None:
            parts.append(raw)
            length += len(raw) + 1
            quotes += raw.count(b'"')
        too_long = raw is None or length > LINE_BYTES_MAX + 1
        if too_long or quotes % 2 == 0:
            whole = b"\n".join(parts)
            if too_long or whole.strip():
                yield begun, None if too_long else whole
            length, quotes, parts = 0, 0, []
    if parts:
        yield begun, b"\n".join(parts)


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[tuple[int, bytes | None]]:
    """Each line by its number, from 1 on; None for one that is too long, which is not kept. Raises Problem."""
    number, rest, is_long = 0, b"", False
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            if number > LINES_MAX:
                raise Problem(Code.INVALID_REQUEST, f"A batch has at most {LINES_MAX} lines", field="body")
            too_long, is_long = is_long or len(line) > LINE_BYTES_MAX, False
            yield number, None if too_long else line.rstrip(b"\r")
        if len(rest) > LINE_BYTES_MAX:
            rest, is_long = b"", True
    if rest or is_long:
        yield number + 1, None if is_long else rest.rstrip(b"\r")


READERS: Mapping[str, Any] = {"application/x-ndjson": ndjson, "text/csv": comma_separated}
