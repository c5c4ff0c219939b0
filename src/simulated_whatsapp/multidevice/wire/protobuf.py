"""Protobuf by field number, without schemas: a message is the values of each number, in their order."""

from collections.abc import Mapping

Value = int | bytes
Fields = dict[int, list[Value]]


class Malformed(ValueError):
    """These bytes are no message."""


def message(*fields: tuple[int, int | bytes | str | None]) -> bytes:
    """The bytes of a message; a field of ``None`` is left out."""
    written = bytearray()
    for number, value in fields:
        match value:
            case None:
                continue
            case int():
                written += _varint(number << 3) + _varint(value)
            case str():
                written += _varint(number << 3 | 2) + _varint(len(value.encode())) + value.encode()
            case _:
                written += _varint(number << 3 | 2) + _varint(len(value)) + value
    return bytes(written)


def fields(data: bytes) -> Fields:
    """Every field of a message. Raises ``Malformed``."""
    found: Fields = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        value, at = _read_value(data, at, key & 7)
        found.setdefault(key >> 3, []).append(value)
    return found


def part(given: Mapping[int, list[Value]], number: int) -> bytes | None:
    """The last value of a field that holds bytes."""
    values = [value for value in given.get(number, ()) if isinstance(value, bytes)]
    return values[-1] if values else None


def number(given: Mapping[int, list[Value]], field: int, default: int = 0) -> int:
    """The last value of a field that holds a number."""
    values = [value for value in given.get(field, ()) if isinstance(value, int)]
    return values[-1] if values else default


def text(given: Mapping[int, list[Value]], field: int) -> str | None:
    value = part(given, field)
    return None if value is None else value.decode(errors="replace")


def _varint(value: int) -> bytes:
    value %= 1 << 64
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if at >= len(data):
            raise Malformed("a number ends too early")
        value |= (data[at] & 0x7F) << 7 * place
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
    raise Malformed("a number is too long")


def _read_value(data: bytes, at: int, kind: int) -> tuple[Value, int]:
    match kind:
        case 0:
            return _read_varint(data, at)
        case 1:
            size = 8
        case 2:
            size, at = _read_varint(data, at)
        case 5:
            size = 4
        case _:
            raise Malformed(f"wire type {kind}")
    if at + size > len(data):
        raise Malformed("a field ends too early")
    taken = data[at : at + size]
    return (taken if kind == 2 else int.from_bytes(taken, "little")), at + size
