"""Every listing as a table: `/api/v1/moves.csv` has the rows of `/api/v1/moves`, all of them, with the same filters.

The rows are asked of the listing itself, a page at a time, as whoever asked: so a table shows what its listing would,
to nobody else, and can never say other numbers. Pages of the operations page have the same twins: `/moves.csv`, and
`Accept: text/csv` or `application/json` in place of HTML. Now and the pages of one thing have a twin in JSON alone.
"""

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from litestar.types import ASGIApp, Receive, Send

ROWS_AT_ONCE = 500
PAGES_MAX = 4_000
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take the beginning of a cell for something to compute by."""

API = "/api/v1/"
_COLUMNS: Mapping[str, Sequence[str]] = {
    "accounts": ("id", "uuid", "workspace_id", "phone", "name", "session_id", "status", "instance_url", "epoch"),
    "alerts": ("since", "kind", "severity", "about", "subject", "title", "reason", "means", "do"),
    "audit": ("id", "at", "act", "via", "actor", "key_id", "action", "subject", "before", "after", "count"),
    "batches": ("batch_id", "name", "state", "messages", "waiting", "invalid", "reason", "created_at"),
    "contacts": ("id", "uuid", "workspace_id", "phone", "name"),
    "deaf": ("account_id", "phone", "instance_url", "hearing", "since_at", "reason", "tried", "next", "next_reason"),
    "deliveries": ("id", "endpoint_id", "event_id", "type", "state", "attempts", "status", "reason", "created_at"),
    "endpoints": ("id", "workspace_id", "url", "name", "state", "state_reason", "failures", "pending", "dead"),
    "instances": ("id", "url", "name", "driver", "state", "health"),
    "messages": ("uuid", "created_at", "state", "account_uuid", "recipient_phone", "code", "reason", "attempts"),
    "moves": ("id", "at", "kind", "session_id", "account_id", "from_url", "to_url", "epoch", "fence", "reason"),
    "pairing": ("account_id", "phone", "name", "status", "since_at", "instance_url", "waiting"),
    "plans": ("id", "kind", "instance_url", "state", "moves", "moved", "stuck", "left", "staying", "budget", "by"),
    "schedules": ("name",),
    "sessions": ("account_id", "phone", "name", "instance_url", "epoch", "status", "standing", "can_send", "since"),
}
"""The listings that have a table, and the columns that come first; those that a listing tells besides follow."""

_PAGES: Mapping[str, Mapping[str, str]] = {
    "/instances": {"health": "health"},
    "/sessions": {
        "q": "q",
        "standing": "standing",
        "sign": "sign",
        "instance": "instance_url",
        "driver": "driver",
        "workspace": "workspace_id",
    },
    "/pairing": {},
    "/deaf": {},
    "/moves": {"kind": "kind"},
    "/plans": {},
    "/downtime": {"month": "month"},
    "/messages": {"state": "state", "batch": "batch_id"},
    "/batches": {},
    "/endpoints": {},
    "/alerts": {"kind": "kind"},
    "/settings": {},
}
"""Pages with a listing as their twin, and how the filters of the page are called there."""
_LISTS = {"/settings": "schedules"}
_NO_TABLES: Mapping[str, Mapping[str, str]] = {"/now": {"span": "span"}}
"""Pages that are no list: told as JSON alone."""
_ONES = {"sessions": "accounts", **{each: each for each in ("instances", "messages", "batches", "endpoints", "plans")}}
"""Pages of one thing, `/sessions/142`, and the resource that it is."""


@dataclass(slots=True)
class _Answer:
    """What the application answered to one page of a table."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)

    async def take(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


class Tables:
    """In front of the application: hands on whatever is not asked for as a table."""

    def __init__(self, behind: ASGIApp) -> None:
        self._behind = behind

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        wanted = _wanted(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if wanted is None:
            await self._behind(scope, receive, send)
            return
        name, query, as_csv = wanted
        if as_csv and name not in _COLUMNS:  # it writes its own table
            await self._behind(_at(scope, f"{name}.csv", query), receive, send)
        elif as_csv:
            await self._table(scope, name, query, send)
        else:
            await self._behind(_at(scope, name, query), receive, send)

    async def _table(self, scope: Any, name: str, query: dict[str, str], send: Send) -> None:
        """The first page says whether it may be had, and what its columns are; then come the rows as they are read."""
        pages = self._pages(scope, name, query)
        first = await anext(pages)
        if first.status != 200:
            await send({"type": "http.response.start", "status": first.status, "headers": first.headers})
            await send({"type": "http.response.body", "body": bytes(first.body), "more_body": False})
            return
        rows = _rows(first)
        columns = list(dict.fromkeys([*_COLUMNS[name], *(key for row in rows for key in row)]))
        await send({"type": "http.response.start", "status": 200, "headers": _headers(name)})
        await send({"type": "http.response.body", "body": written([columns]), "more_body": True})
        await send({"type": "http.response.body", "body": _lines(columns, rows), "more_body": True})
        async for page in pages:
            if page.status != 200:
                raise RuntimeError(f"The table of {name} ends in the middle: a page of it was answered {page.status}")
            await send({"type": "http.response.body", "body": _lines(columns, _rows(page)), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pages(self, scope: Any, name: str, query: dict[str, str]) -> AsyncIterator[_Answer]:
        """Page after page until there is none, or the listing takes no pages."""
        asked = {"limit": str(ROWS_AT_ONCE)} if name in _PAGED else {}
        for number in range(PAGES_MAX):
            answer = _Answer()
            await self._behind(_at(scope, name, {**query, **asked}), _nothing, answer.take)
            yield answer
            told = msgspec.json.decode(bytes(answer.body)) if answer.status == 200 else {}
            if name == "sessions":
                if (number + 1) * ROWS_AT_ONCE >= told.get("total", 0):
                    return
                asked["offset"] = str((number + 1) * ROWS_AT_ONCE)
            elif told.get("next") is None or name not in _PAGED:
                return
            else:
                asked[_PAGED[name]] = str(told["next"])


_PAGED = {
    "accounts": "after",
    "audit": "after",
    "batches": "before",
    "contacts": "after",
    "deliveries": "after",
    "endpoints": "after",
    "messages": "before",
    "moves": "after",
    "sessions": "offset",
}
"""Listings that are told in pages, and the parameter that goes on behind one."""


def _wanted(scope: Any) -> tuple[str, dict[str, str], bool] | None:
    """The listing, its filters, and whether as CSV; None: it is not asked for as one."""
    path: str = scope["path"]
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    whole, as_csv = (
        (path.removesuffix(".csv"), True) if path.endswith(".csv") else (path, _prefers(scope) == "text/csv")
    )
    if whole.startswith(API) and (name := whole.removeprefix(API)) in _COLUMNS:
        return (name, query, True) if as_csv else None
    as_json = _prefers(scope) == "application/json"
    if as_json and (one := _one(path)) is not None:
        return one, {}, False
    pages = _PAGES if as_csv else {**_PAGES, **_NO_TABLES}
    if whole in pages and (as_csv or as_json):
        names = pages[whole]
        kept = {names[key]: value for key, value in query.items() if key in names and value}
        return _LISTS.get(whole, whole[1:]), kept, as_csv
    return None


def _one(path: str) -> str | None:
    """The resource that a page of one thing shows."""
    _, _, rest = path.partition("/")
    kind, _, ref = rest.partition("/")
    return f"{_ONES[kind]}/{ref}" if kind in _ONES and ref and "/" not in ref else None


def _prefers(scope: Any) -> str:
    """The first type that is accepted."""
    accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return str(accepted.split(b",")[0].split(b";")[0].strip().decode("latin-1"))


def _at(scope: Any, name: str, query: Mapping[str, str]) -> Any:
    """The same request of the listing."""
    path, asked = f"{API}{name}", urlencode(query)
    state = dict(scope.get("state") or {})
    return {**scope, "path": path, "raw_path": path.encode(), "query_string": asked.encode(), "state": state}


async def _nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


def _rows(answer: _Answer) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = msgspec.json.decode(bytes(answer.body))["data"]
    return rows


def _headers(name: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", b"text/csv; charset=utf-8"),
        (b"content-disposition", f'attachment; filename="{name}.csv"'.encode()),
        (b"cache-control", b"no-store"),
    ]


def _lines(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    return written([[_value(row.get(column)) for column in columns] for row in rows])


def _value(value: Any) -> Any:
    """What is no plain value is told as JSON."""
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value


def written(rows: Sequence[Sequence[object]]) -> bytes:
    """Lines of a table. A text that a spreadsheet would compute is kept one."""
    into = io.StringIO()
    csv.writer(into).writerows([[_cell(value) for value in row] for row in rows])
    return into.getvalue().encode()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
