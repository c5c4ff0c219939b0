"""One phone: reads what is written to it, shows each message once, and keeps what it wrote for retries."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from simulated_whatsapp.multidevice.phones.content import Content, padded, read_content, unpadded
from simulated_whatsapp.multidevice.phones.linking import is_accepted
from simulated_whatsapp.multidevice.signal.bundles import Bundle
from simulated_whatsapp.multidevice.signal.identity import Identity
from simulated_whatsapp.multidevice.signal.ratchet import AlreadyDecrypted, Undecryptable
from simulated_whatsapp.multidevice.signal.sender_keys import GroupKeys
from simulated_whatsapp.multidevice.signal.sessions import read_first
from simulated_whatsapp.multidevice.wire.protobuf import Malformed

REMEMBERED_IDS = 100_000
REMEMBERED_WRITINGS = 10_000
MAX_RETRIES = 5

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Seen = Literal["shown", "repeated", "duplicate", "undecryptable", "nothing"]


@dataclass(frozen=True, slots=True)
class Sealed:
    """One encrypted part of a message: ``pkmsg``, ``msg`` or ``skmsg``."""

    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it reaches a phone. ``sender`` is a device (``628111:3``), ``chat`` the number or group that it
    belongs to; ``vouched`` is the identity that a linked device shows in its first message, ``account`` whose it is."""

    id: str
    sender: str
    chat: str
    parts: tuple[Sealed, ...]
    vouched: bytes = b""
    account: bytes = b""


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of a message: its fate, what it says where it could be read, and why not where it could not."""

    seen: Seen
    content: Content | None = None
    why: str = ""
    retry: int = 0
    """How often the phone has asked for this message again, this time included."""


@dataclass(frozen=True, slots=True)
class Writing:
    """What this phone wrote, and to which address."""

    to: str
    message: bytes


@dataclass(slots=True)
class Phone:
    """Device 0 of a number. ``drops_repeats`` is whether it shows an id once only, as the apps do."""

    number: str
    identity: Identity = field(default_factory=Identity)
    groups: GroupKeys = field(default_factory=GroupKeys)
    online: bool = True
    registered: bool = True
    passkey: bool = False
    """Whether this account links devices only after its passkey was used on them."""
    drops_repeats: bool = True
    writings: dict[str, Writing] = field(default_factory=dict)
    trusted: set[str] = field(default_factory=set)
    """The numbers that this phone wrote to, which may write to it."""
    given_keys: set[tuple[str, str]] = field(default_factory=set)
    """The devices that have this phone's key of a group."""
    _had: dict[Hashable, None] = field(default_factory=dict)
    _asked: dict[tuple[str, str], int] = field(default_factory=dict)

    def read(self, incoming: Incoming) -> Reading:
        """Decrypt, and show unless it was shown before."""
        try:
            content = self._opened(incoming)
        except AlreadyDecrypted as again:
            return Reading("duplicate", why=str(again))
        except (Undecryptable, Malformed) as problem:
            return self._unreadable(incoming, str(problem))
        if content.kind == "nothing":
            return Reading("nothing", content)
        # An id is the sender's own: who wrote, to which chat, under which id. Copies for oneself are another list.
        key = (incoming.sender.partition(":")[0], content.sent_to or incoming.chat, incoming.id)
        if key in self._had and self.drops_repeats:
            return Reading("repeated", content)
        _remember(self._had, key, None, REMEMBERED_IDS)
        return Reading("shown", content)

    def write(self, id: str, writing: Writing) -> None:
        """Keep what is written until somebody needs it again."""
        _remember(self.writings, id, writing, REMEMBERED_WRITINGS)

    def sealed_for(self, peer: str, message: bytes, fetch: Callable[[], Bundle]) -> Sealed:
        """A message for one device; where there is no session yet, one is begun with what ``fetch`` gives."""
        if not self.identity.knows(peer):
            self.identity.open(peer, fetch())
        return Sealed(*self.identity.encrypt(peer, padded(message)))

    def _opened(self, incoming: Incoming) -> Content:
        found = Content("nothing")
        for part in incoming.parts:
            if part.kind == "skmsg":
                plain = self.groups.decrypt(incoming.chat, incoming.sender, part.data)
            else:
                self._check_voucher(incoming, part)
                plain = self.identity.decrypt(incoming.sender, part.kind, part.data)
            content = read_content(unpadded(plain))
            if content.sender_key is not None:
                self.groups.learn(content.sender_key.group, incoming.sender, content.sender_key.distribution)
            found = content if content.kind != "nothing" else found
        return found

    def _check_voucher(self, incoming: Incoming, part: Sealed) -> None:
        """A linked device's first message must show that the account knows it, as the apps demand."""
        if part.kind != "pkmsg" or ":" not in incoming.sender:
            return
        if not is_accepted(incoming.vouched, incoming.account, read_first(part.data).identity):
            raise Undecryptable("a linked device's first message does not prove whose device it is")

    def _unreadable(self, incoming: Incoming, why: str) -> Reading:
        key = (incoming.sender, incoming.id)
        count = self._asked.get(key, 0) + 1
        _remember(self._asked, key, count, REMEMBERED_IDS)
        return Reading("undecryptable", why=why, retry=count if count <= MAX_RETRIES else 0)


def _remember(kept: dict[Key, Value], key: Key, value: Value, limit: int) -> None:
    kept[key] = value
    if len(kept) > limit:
        del kept[next(iter(kept))]
