"""The column types of the schema: the same Python values on both databases."""
# ruff: noqa: ARG002 - SQLAlchemy passes the dialect to all of them

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeDecorator, TypeEngine

_LARGEST = 2**63 - 1


def storable(text: str) -> str:
    """The text with what no database can hold (NUL, lone surrogates) replaced, so that odd input is only odd."""
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def bounded(number: int) -> int:
    """The number, or the largest that a column can hold, which no row has."""
    return max(-_LARGEST, min(number, _LARGEST))


class Words(TypeDecorator[str]):
    """Text of any length."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        # What SQLAlchemy would make of the above passes each value through three functions.
        return super().bind_processor(dialect) if dialect.name != "sqlite" else _words_in


def _words_in(value: str | None) -> str | None:
    return None if value is None else storable(value)


class BoundedInteger(TypeDecorator[int]):
    """A 64-bit integer. A larger number is cut to the largest, which no row has, instead of failing the statement."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        # SQLite makes only a column of type INTEGER the row's own id.
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else BigInteger())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        return None if value is None else bounded(value)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: timestamptz on PostgreSQL, `2026-01-31T12:00:00.000000Z` on SQLite, aware and UTC in Python."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return _in_utc(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return _in_utc(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        return super().bind_processor(dialect) if dialect.name != "sqlite" else _moment_in

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any] | None:
        return super().result_processor(dialect, coltype) if dialect.name != "sqlite" else _moment_out


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else _utc(value)


def _utc(value: datetime) -> datetime:
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError(f"{value} names no time zone")
    return value.astimezone(UTC)


def _moment_in(value: datetime | None) -> str | None:
    """Of fixed width, so that SQLite's order of texts is the order of moments."""
    return None if value is None else f"{_utc(value).isoformat(timespec='microseconds')[:_LOCAL]}Z"


def _moment_out(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


_LOCAL = len("2026-01-31T12:00:00.000000")


class JsonText(TypeDecorator[dict[str, Any]]):
    """A JSON object kept as text: what comes back is what went in, key order included."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return _json_in(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        return _json_out(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        return super().bind_processor(dialect) if dialect.name != "sqlite" else _json_in

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any] | None:
        return super().result_processor(dialect, coltype) if dialect.name != "sqlite" else _json_out


_as_json = json.JSONEncoder(separators=(",", ":")).encode


def _json_in(value: Any) -> str | None:
    return None if value is None else json_text(value)


def json_text(value: dict[str, Any]) -> str:
    """The object as a column of the type `JsonText` keeps it."""
    return _as_json(value)


def _json_out(value: str | None) -> dict[str, Any] | None:
    return None if value is None else dict(json.loads(value))


class SealedBytes(TypeDecorator[bytes]):
    """Bytes kept as text in base64, so that rows of them can be given as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else as_base64(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else base64.b64decode(value)


def as_base64(value: bytes) -> str:
    """Bytes as a column of the type `SealedBytes` keeps them."""
    return base64.b64encode(value).decode("ascii")


class TextList(TypeDecorator[Sequence[str]]):
    """A list of texts as one parameter, so that the statement reads the same for any number of them."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(Text()))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        texts = [storable(text) for text in value]
        return json.dumps(texts) if dialect.name == "sqlite" else texts
