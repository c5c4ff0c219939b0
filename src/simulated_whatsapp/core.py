"""The judge: who is logged in, which frames count, and what reaches a recipient.

A synchronous state machine. It opens no socket and reads no clock: ``now`` is unix seconds, given by the
caller, and what must be told to other connections is returned as pushes. One device has at most one live
connection; a newcomer evicts the incumbent, as WhatsApp's ``conflict/replaced`` does, and whatever the
evicted connection still says is dropped without an answer.
"""

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from zlib import crc32

from simulated_whatsapp.ledger import Delivery, timestamp

CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
RESTRICTED = 463
"""WhatsApp's error code for a recipient that this sender may not reach out to."""


class Refusal(StrEnum):
    """Why WhatsApp said no."""

    UNKNOWN_DEVICE = "unknown_device"
    LOGGED_OUT = "logged_out"
    STALE_CREDENTIALS = "stale_credentials"
    LOGIN_THROTTLED = "login_throttled"
    NOT_LOGGED_IN = "not_logged_in"
    RATCHET_REGRESSED = "ratchet_regressed"
    RECIPIENT_RESTRICTED = "recipient_restricted"
    UNKNOWN_CODE = "unknown_code"
    CODE_EXPIRED = "code_expired"
    QUEUE_FULL = "queue_full"
    MEDIA_MISSING = "media_missing"
    """The file that is named was never here."""


@dataclass(frozen=True, slots=True)
class DeviceCredentials:
    """What proves to be a device. ``version`` rises with each login that the device confirmed as saved."""

    session_id: str
    phone: str
    secret: str
    version: int


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """A message on its way to a device, kept until the device acknowledges its ``id``."""

    id: str
    sender: str
    text: str
    at: str
    file: Mapping[str, Any] | None = None
    """What came with it: ``sha256``, ``size``, ``mime_type`` and ``file_name``; by the first it is taken from here."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another connection logged in with the same credentials."""


@dataclass(frozen=True, slots=True)
class DeviceRemoved:
    """The phone unlinked this device; its credentials are worth nothing now."""


@dataclass(frozen=True, slots=True)
class Paired:
    """The phone accepted the pairing code; these are the new device's credentials."""

    credentials: DeviceCredentials


Event = Replaced | DeviceRemoved | Paired | InboundMessage


@dataclass(frozen=True, slots=True)
class Push:
    """Something to be told to a connection that did not ask."""

    connection: str
    event: Event


@dataclass(frozen=True, slots=True)
class Refused:
    """No, with the reason; ``code`` is WhatsApp's error number where it has one."""

    reason: Refusal
    retry_after_s: float = 0.0
    code: int | None = None


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The connection is live after ``delay_s``.

    ``renewed`` are the credentials to use from now on; they count once the device confirmed them
    with ``confirm``. ``waiting`` are the messages that came while the device was away, oldest first.
    """

    phone: str
    renewed: DeviceCredentials
    waiting: tuple[InboundMessage, ...]
    delay_s: float
    pushes: tuple[Push, ...]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The message counts. ``delivery`` goes to the ledger before the sender hears of it; a repeat has none."""

    at: str
    delivery: Delivery | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """The frame came from an evicted connection: no answer at all."""


@dataclass(frozen=True, slots=True)
class PairingCode:
    """Eight characters to be typed into a phone, shown as ``ABCD-1234``, good until ``expires_at`` (unix seconds)."""

    code: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Linked:
    """A phone accepted the code: the session is a device now, and an earlier device of its name is gone."""

    session_id: str
    pushes: tuple[Push, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """Done; the pushes are what others must be told."""

    pushes: tuple[Push, ...] = ()


@dataclass(frozen=True, slots=True)
class Stats:
    """Figures since the start."""

    devices: int
    connected: int
    logins: int
    evictions: int
    sends: int
    delivered: int
    repeats: int
    dropped_frames: int
    refused: Mapping[str, int]


@dataclass(slots=True)
class Rules:
    """What can be switched while it runs. Rates are per second, delays in seconds, zero means no limit."""

    login_delay_s: float = 0.0
    logins_per_second: float = 0.0
    drop_repeats: bool = True
    code_ttl_s: float = 300.0
    remembered_ids: int = 100_000
    queue_limit: int = 10_000


@dataclass(slots=True)
class Device:
    """One linked device, as WhatsApp remembers it. ``counter`` is the highest ratchet counter seen."""

    session_id: str
    phone: str
    secret: str
    version: int = 1
    counter: int = 0
    removed: bool = False
    connection: str | None = None
    label: Any = None
    waiting: dict[str, InboundMessage] = field(default_factory=dict)

    @property
    def credentials(self) -> DeviceCredentials:
        return DeviceCredentials(self.session_id, self.phone, self.secret, self.version)


@dataclass(frozen=True, slots=True)
class Pairing:
    """A code waiting for a phone."""

    session_id: str
    phone: str | None
    connection: str
    expires_at: float


class Judge:
    """All of WhatsApp that a session can see. ``draw(n)`` gives n random characters of ``CODE_ALPHABET``."""

    def __init__(self, rules: Rules | None = None, draw: Callable[[int], str] | None = None) -> None:
        self.rules = rules or Rules()
        self.restricted: set[str] = set()
        self.devices: dict[str, Device] = {}
        self._draw = draw or _draw
        self._live: dict[str, Device] = {}
        self._evicted: set[str] = set()
        self._pairings: dict[str, Pairing] = {}
        self._recent_logins: deque[float] = deque()
        self._known: dict[str, dict[tuple[str, str], str]] = {}
        self.media: dict[str, int] = {}
        """The files that were uploaded: their sizes in bytes, by their SHA-256 in hex."""
        self._inbound = 0
        self._counts = dict.fromkeys(("logins", "evictions", "sends", "delivered", "repeats", "dropped_frames"), 0)
        self._refusals: dict[str, int] = {}

    # Devices

    def preregister(self, devices: Iterable[tuple[str, str]]) -> list[DeviceCredentials]:
        """Link many (session id, phone) pairs without a phone at hand; a session linked already keeps its secret."""
        return [self._registered(session_id, phone).credentials for session_id, phone in devices]

    def pair(self, session_id: str, phone: str | None, connection: str, now: float) -> PairingCode:
        """A fresh code for the session; an earlier code of the same session is void."""
        self._forget_pairings(lambda pairing: pairing.session_id == session_id)
        code = self._draw(8)
        self._pairings[code] = Pairing(session_id, phone, connection, now + self.rules.code_ttl_s)
        return PairingCode(f"{code[:4]}-{code[4:]}", now + self.rules.code_ttl_s)

    def link(self, code: str, now: float, phone: str | None = None) -> Linked | Refused:
        """A phone typed the code in. ``phone`` is its number, where the pairing did not name one."""
        pairing = self._pairings.pop(_bare(code), None)
        if pairing is None:
            return self._refuse(Refusal.UNKNOWN_CODE)
        if now > pairing.expires_at:
            return self._refuse(Refusal.CODE_EXPIRED)
        former = self.devices.get(pairing.session_id)
        lost = self._cut(former) if former else None
        number = phone or pairing.phone or _made_up_phone(pairing.session_id)
        device = self.devices[pairing.session_id] = Device(pairing.session_id, number, self._draw(32))
        told = Push(pairing.connection, Paired(device.credentials))
        return Linked(pairing.session_id, (Push(lost, DeviceRemoved()), told) if lost else (told,))

    def remove_device(self, session_id: str) -> Accepted | Refused:
        """The phone unlinks the device: its connection is told, its later logins are refused."""
        device = self.devices.get(session_id)
        if device is None:
            return self._refuse(Refusal.UNKNOWN_DEVICE)
        device.removed = True
        device.waiting.clear()
        connection = self._cut(device)
        return Accepted((Push(connection, DeviceRemoved()),) if connection else ())

    # Connections

    def login(
        self, credentials: DeviceCredentials, next_counter: int, label: Any, connection: str, now: float
    ) -> LoggedIn | Refused:
        """Make the connection the device's only one.

        ``next_counter`` is the first ratchet counter that this login would use: not above what was seen
        already means that the device woke from an old copy of its state.
        """
        refusal = self._login_refusal(credentials, next_counter, now)
        if refusal is not None:
            return refusal
        device = self.devices[credentials.session_id]
        self._recent_logins.append(now)
        self._counts["logins"] += 1
        pushes = self._evict(device, connection)
        self._leave(connection)
        self._evicted.discard(connection)
        device.version, device.label, device.connection = credentials.version, label, connection
        self._live[connection] = device
        renewed = replace(device.credentials, version=device.version + 1)
        return LoggedIn(device.phone, renewed, tuple(device.waiting.values()), self.rules.login_delay_s, pushes)

    def confirm(self, connection: str, version: int) -> None:
        """The device has saved its renewed credentials: older copies of them are refused from now on."""
        device = self._live.get(connection)
        if device is not None and version == device.version + 1:
            device.version = version

    def logout(self, connection: str) -> Accepted | Refused:
        """The device unlinks itself."""
        device = self._live.get(connection)
        if device is None:
            return self._refuse(Refusal.NOT_LOGGED_IN)
        device.removed = True
        device.waiting.clear()
        self._leave(connection)
        return Accepted()

    def disconnected(self, connection: str) -> None:
        """The wire is gone, and with it the codes that it was waiting for."""
        self._leave(connection)
        self._evicted.discard(connection)
        self._forget_pairings(lambda pairing: pairing.connection == connection)

    # Messages

    def uploaded(self, connection: str, sha256: str, size: int) -> Refused | None:
        """A device uploaded a whole file; messages may name it from now on."""
        if connection not in self._live:
            return self._refuse(Refusal.NOT_LOGGED_IN)
        self.media[sha256] = size
        if len(self.media) > self.rules.remembered_ids:
            del self.media[next(iter(self.media))]
        return None

    def send(
        self,
        connection: str,
        message_id: str,
        recipient: str,
        text: str,
        counter: int,
        now: float,
        content: Mapping[str, Any] | None = None,
        media_sha256: str | None = None,
    ) -> Acknowledged | Refused | Dropped:
        """Accept a message, or say why not. A file that it has must have been uploaded.

        An id already known in the same chat is acknowledged again whatever its counter, and is not
        delivered again unless ``drop_repeats`` is off. Any other message must carry a counter above
        every counter seen of this device.
        """
        device = self._live.get(connection)
        if device is None:
            return self._stray(connection)
        self._counts["sends"] += 1
        if recipient in self.restricted:
            return self._refuse(Refusal.RECIPIENT_RESTRICTED, code=RESTRICTED)
        known = self._known.setdefault(device.session_id, {})
        first_at = known.get((recipient, message_id))
        if first_at is None and counter <= device.counter:
            return self._refuse(Refusal.RATCHET_REGRESSED)
        if first_at is None and media_sha256 is not None and media_sha256 not in self.media:
            return self._refuse(Refusal.MEDIA_MISSING)
        device.counter = max(device.counter, counter)
        if first_at is not None:
            self._counts["repeats"] += 1
            if self.rules.drop_repeats:
                return Acknowledged(first_at, None)
        at = timestamp(now)
        said = Delivery(at, device.session_id, recipient, message_id, text, device.label, content, media_sha256)
        return self._deliver(known, said)

    def deliver(
        self, session_id: str, sender: str, text: str, now: float, file: Mapping[str, Any] | None = None
    ) -> Accepted | Refused:
        """Someone writes to the device: pushed if it is connected, kept until acknowledged in any case.

        ``file`` is as ``InboundMessage`` has it, of one that is here already.
        """
        device = self.devices.get(session_id)
        if device is None or device.removed:
            return self._refuse(Refusal.UNKNOWN_DEVICE)
        if len(device.waiting) >= self.rules.queue_limit:
            return self._refuse(Refusal.QUEUE_FULL)
        self._inbound += 1
        message = InboundMessage(f"3A{self._inbound:018X}", sender, text, timestamp(now), file)
        device.waiting[message.id] = message
        return Accepted((Push(device.connection, message),) if device.connection else ())

    def may_download(self, connection: str, here: bool) -> Refused | None:
        """A device asks for a file that somebody sent; ``here`` is whether there is one."""
        if connection not in self._live:
            return self._refuse(Refusal.NOT_LOGGED_IN)
        return None if here else self._refuse(Refusal.MEDIA_MISSING)

    def received(self, connection: str, inbound_id: str) -> None:
        """The device has the inbound message: it is not offered again."""
        device = self._live.get(connection)
        if device is not None:
            device.waiting.pop(inbound_id, None)

    # What it remembers

    def remember(self, deliveries: Iterable[Delivery]) -> None:
        """Know the ids of an earlier run's deliveries again."""
        for delivery in deliveries:
            known = self._known.setdefault(delivery.session_id, {})
            known[delivery.recipient, delivery.message_id] = delivery.at

    def stats(self) -> Stats:
        return Stats(
            devices=sum(not device.removed for device in self.devices.values()),
            connected=len(self._live),
            refused=dict(self._refusals),
            **self._counts,
        )

    def _registered(self, session_id: str, phone: str) -> Device:
        device = self.devices.get(session_id)
        if device is None or device.removed:
            device = self.devices[session_id] = Device(session_id, phone, self._draw(32))
        return device

    def _login_refusal(self, given: DeviceCredentials, next_counter: int, now: float) -> Refused | None:
        if self._throttled(now):
            return self._refuse(Refusal.LOGIN_THROTTLED, retry_after_s=1.0)
        device = self.devices.get(given.session_id)
        if device is None:
            return self._refuse(Refusal.UNKNOWN_DEVICE)
        if device.removed or not secrets.compare_digest(device.secret.encode(), given.secret.encode()):
            return self._refuse(Refusal.LOGGED_OUT)
        if given.version < device.version or next_counter <= device.counter:
            return self._refuse(Refusal.STALE_CREDENTIALS)
        return None

    def _throttled(self, now: float) -> bool:
        while self._recent_logins and self._recent_logins[0] <= now - 1.0:
            self._recent_logins.popleft()
        return 0 < self.rules.logins_per_second <= len(self._recent_logins)

    def _evict(self, device: Device, newcomer: str) -> tuple[Push, ...]:
        if device.connection in (None, newcomer):
            return ()
        connection = self._cut(device)
        assert connection is not None
        self._counts["evictions"] += 1
        return (Push(connection, Replaced()),)

    def _cut(self, device: Device) -> str | None:
        """Take the device's connection from it; whatever that connection says later is dropped."""
        connection, device.connection = device.connection, None
        if connection is not None:
            del self._live[connection]
            self._evicted.add(connection)
        return connection

    def _leave(self, connection: str) -> None:
        device = self._live.pop(connection, None)
        if device is not None:
            device.connection = None

    def _stray(self, connection: str) -> Refused | Dropped:
        if connection in self._evicted:
            self._counts["dropped_frames"] += 1
            return Dropped()
        return self._refuse(Refusal.NOT_LOGGED_IN)

    def _deliver(self, known: dict[tuple[str, str], str], delivery: Delivery) -> Acknowledged:
        known[delivery.recipient, delivery.message_id] = delivery.at
        if len(known) > self.rules.remembered_ids:
            del known[next(iter(known))]
        self._counts["delivered"] += 1
        return Acknowledged(delivery.at, delivery)

    def _forget_pairings(self, matches: Callable[[Pairing], bool]) -> None:
        for code in [code for code, pairing in self._pairings.items() if matches(pairing)]:
            del self._pairings[code]

    def _refuse(self, reason: Refusal, retry_after_s: float = 0.0, code: int | None = None) -> Refused:
        self._refusals[reason] = self._refusals.get(reason, 0) + 1
        return Refused(reason, retry_after_s, code)


def _bare(code: str) -> str:
    return code.replace("-", "").replace(" ", "").upper()


def _made_up_phone(session_id: str) -> str:
    return f"62899{crc32(session_id.encode()) % 10**8:08d}"


def _draw(length: int) -> str:
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(length))
