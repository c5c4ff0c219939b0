"""Nodes as bytes: lists, strings, packed digits, addresses, and words that one or two bytes stand for.

From the reader and writer of Baileys 7.0.0-rc14. What is written here uses no dictionary of words, which the protocol
allows; to read what a client wrote with one, the same dictionary is needed.
"""

import zlib
from dataclasses import dataclass

from simulated_whatsapp.multidevice.wire.jids import DOMAINS, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node

MAX_DEPTH = 32
MAX_INFLATED_BYTES = 32 * 1024 * 1024
_EMPTY, _WORDS, _AD_JID, _LIST_8, _LIST_16, _JID = 0, 236, 247, 248, 249, 250
_INTEROP_JID, _FB_JID = 245, 246
_HEX, _BYTES_8, _BYTES_20, _BYTES_32, _NIBBLES = 251, 252, 253, 254, 255
_PACKED_MAX = 127
_NIBBLE_LETTERS = "0123456789-."
_HEX_LETTERS = "0123456789ABCDEF"
_DEFLATED = 2


class BadNode(ValueError):
    """These bytes are no node."""


@dataclass(frozen=True, slots=True)
class Dictionary:
    """The words that one byte stands for, and those of two: a page and a place on it."""

    single: tuple[str, ...] = ()
    double: tuple[tuple[str, ...], ...] = ()


NO_WORDS = Dictionary()


def encoded(given: Node) -> bytes:
    """The bytes of a node: flags first, none of them set."""
    written = bytearray(1)
    _write_node(written, given)
    return bytes(written)


def decoded(data: bytes, words: Dictionary = NO_WORDS) -> Node:
    """The node in these bytes. Raises ``BadNode``."""
    if not data:
        raise BadNode("an empty frame")
    reader = _Reader(_inflated(data[1:]) if data[0] & _DEFLATED else data[1:], words)
    try:
        found = reader.node(0)
    except RecursionError as deep:
        raise BadNode("addresses in addresses without end") from deep
    if reader.left:
        raise BadNode(f"{reader.left} bytes follow the node")
    return found


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, MAX_INFLATED_BYTES)
    except zlib.error as wrong:
        raise BadNode(str(wrong)) from wrong
    if inflater.unconsumed_tail:
        raise BadNode(f"more than {MAX_INFLATED_BYTES} bytes when inflated")
    return plain


def _write_node(out: bytearray, given: Node) -> None:
    has_content = given.content != ()
    _write_list(out, 1 + 2 * len(given.attrs) + has_content)
    _write_text(out, given.tag)
    for name, value in given.attrs.items():
        _write_text(out, name)
        _write_text(out, value)
    match given.content:
        case bytes():
            _write_bytes(out, given.content)
        case str():
            _write_text(out, given.content)
        case children if has_content:
            _write_list(out, len(children))
            for child in children:
                _write_node(out, child)
        case _:
            pass


def _write_list(out: bytearray, size: int) -> None:
    if size > 255:
        out += bytes([_LIST_16]) + size.to_bytes(2, "big")
    else:
        out += bytes([_LIST_8, size]) if size else bytes([_EMPTY])


def _write_text(out: bytearray, text: str) -> None:
    if 0 < len(text) <= _PACKED_MAX and _is_of(text, _NIBBLE_LETTERS):
        _write_packed(out, text, _NIBBLES, _NIBBLE_LETTERS)
    elif 0 < len(text) <= _PACKED_MAX and _is_of(text, _HEX_LETTERS):
        _write_packed(out, text, _HEX, _HEX_LETTERS)
    elif (jid := _written_jid(text)) is not None:
        _write_jid(out, jid)
    else:
        _write_bytes(out, text.encode())


def _is_of(text: str, letters: str) -> bool:
    return all(letter in letters for letter in text)


def _written_jid(text: str) -> Jid | None:
    """The address, where reading it back gives the same text."""
    try:
        jid = Jid.read(text)
    except ValueError:
        return None
    fits = str(jid) == text and jid.server and (not jid.device or (jid.user and jid.device < 256))
    return jid if fits and (not jid.device or jid.server in DOMAINS.values()) else None


def _write_jid(out: bytearray, jid: Jid) -> None:
    if jid.device:
        domain = next(byte for byte, server in DOMAINS.items() if server == jid.server)
        out += bytes([_AD_JID, domain, jid.device])
        _write_text(out, jid.user)
        return
    out.append(_JID)
    if jid.user:
        _write_text(out, jid.user)
    else:
        out.append(_EMPTY)
    _write_text(out, jid.server)


def _write_packed(out: bytearray, text: str, tag: int, letters: str) -> None:
    halves = [letters.index(letter) for letter in text] + [15] * (len(text) % 2)
    out += bytes([tag, len(halves) // 2 | (0x80 if len(text) % 2 else 0)])
    out += bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))


def _write_bytes(out: bytearray, data: bytes) -> None:
    if len(data) < 256:
        out += bytes([_BYTES_8, len(data)])
    elif len(data) < 1 << 20:
        out += bytes([_BYTES_20]) + len(data).to_bytes(3, "big")
    else:
        out += bytes([_BYTES_32]) + len(data).to_bytes(4, "big")
    out += data


class _Reader:
    def __init__(self, data: bytes, words: Dictionary) -> None:
        self._data, self._words, self._at = data, words, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def node(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise BadNode("nodes in nodes without end")
        size = self._list_size(self._number(1))
        tag = self._text(self._number(1))
        if not size or not tag:
            raise BadNode("a node without a tag")
        attrs = {self._text(self._number(1)): self._text(self._number(1)) for _ in range((size - 1) // 2)}
        return Node(tag, attrs, () if size % 2 else self._content(depth))

    def _content(self, depth: int) -> tuple[Node, ...] | bytes | str:
        tag = self._number(1)
        if tag in (_EMPTY, _LIST_8, _LIST_16):
            return tuple(self.node(depth + 1) for _ in range(self._list_size(tag)))
        if tag in (_BYTES_8, _BYTES_20, _BYTES_32):
            return self._take(self._byte_count(tag))
        return self._text(tag)

    def _list_size(self, tag: int) -> int:
        match tag:
            case 0:
                return 0
            case 248:
                return self._number(1)
            case 249:
                return self._number(2)
            case _:
                raise BadNode(f"{tag} starts no list")

    def _byte_count(self, tag: int) -> int:
        if tag == _BYTES_20:
            return self._number(3) & 0xFFFFF
        return self._number(1 if tag == _BYTES_8 else 4)

    def _text(self, tag: int) -> str:
        if tag == _EMPTY:
            return ""
        if tag < len(self._words.single):
            return self._words.single[tag]
        if _WORDS <= tag < _WORDS + 4:
            return self._word(tag - _WORDS, self._number(1))
        if tag in (_BYTES_8, _BYTES_20, _BYTES_32):
            return self._take(self._byte_count(tag)).decode(errors="replace")
        if tag in (_NIBBLES, _HEX):
            return self._packed(_NIBBLE_LETTERS if tag == _NIBBLES else _HEX_LETTERS)
        if tag == _JID:
            return f"{self._text(self._number(1))}@{self._text(self._number(1))}"
        return self._address(tag)

    def _address(self, tag: int) -> str:
        if tag == _AD_JID:
            domain, device = self._number(1), self._number(1)
            return str(Jid(self._text(self._number(1)), DOMAINS.get(domain, DOMAINS[0]), device))
        if tag == _FB_JID:
            user, device = self._text(self._number(1)), self._number(2)
            return f"{user}:{device}@{self._text(self._number(1))}"
        if tag == _INTEROP_JID:
            user, device, integrator = self._text(self._number(1)), self._number(2), self._number(2)
            return f"{integrator}-{user}:{device}@interop"
        raise BadNode(f"{tag} stands for no text that is known here")

    def _word(self, page: int, place: int) -> str:
        try:
            return self._words.double[page][place]
        except IndexError as unknown:
            raise BadNode(f"no word at {page}/{place}") from unknown

    def _packed(self, letters: str) -> str:
        start = self._number(1)
        halves = [half for byte in self._take(start & 0x7F) for half in (byte >> 4, byte & 15)]
        if start & 0x80:
            del halves[-1:]
        if any(half >= len(letters) for half in halves):
            raise BadNode("a packed text holds what is no letter")
        return "".join(letters[half] for half in halves)

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _take(self, count: int) -> bytes:
        if count > self.left:
            raise BadNode("a node ends too early")
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken
