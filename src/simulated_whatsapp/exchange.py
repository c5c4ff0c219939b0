"""Frames in, frames out: the protocol, with no socket under it.

Frames are JSON objects. A question carries ``do`` and a ``ref`` of the asker's choice; its answer carries the
same ``ref`` and ``ok``. Anything else that arrives is a push.

A device's questions::

    {"do": "login", "ref", "credentials": {...}, "next_counter": 1, "label": <anything>}
        -> {"ref", "ok": true, "phone", "credentials": {renewed}, "waiting": [{"id","sender","text","at"}]}
    {"do": "confirm", "version": 2}                  no answer: the renewed credentials are saved
    {"do": "pair", "ref", "session_id", "phone": null | "628..."}
        -> {"ref", "ok": true, "code": "ABCD-1234", "expires_at": <unix seconds>}
    {"do": "upload", "ref", "upload", "data": <base64>, "last": false}    -> {"ref", "ok": true}, of the last one
        {"ref", "ok": true, "sha256", "size"}: a file in pieces, under a name of the asker's choice
    {"do": "send", "ref", "message_id", "recipient", "text", "counter", "content"?, "media_sha256"?}
        -> {"ref", "ok": true, "at": "2026-..Z"}
    {"do": "download", "ref", "sha256", "at": 0}     -> {"ref", "ok": true, "data": <base64>}: a piece of a file that
        came in, from this byte on; an empty one at its end
    {"do": "received", "id"}                         no answer: the inbound message is settled
    {"do": "logout", "ref"}                          -> {"ref", "ok": true}

Pushes to a device::

    {"push": "replaced"}    {"push": "device_removed"}    {"push": "paired", "credentials": {...}}
    {"push": "inbound", "id", "sender", "text", "at", "file"?: {"sha256", "size", "mime_type", "file_name"}}

Administration, on any connection::

    {"do": "preregister", "ref", "devices": [["session", "628..."], ...]} -> {"ref", "ok", "credentials": [{...}, ...]}
    {"do": "link", "ref", "code", "phone": null | "628..."}               -> {"ref", "ok", "session_id"}
    {"do": "keep", "ref", "upload", "data", "last"}      as "upload", and the file is kept, to be delivered
    {"do": "deliver", "ref", "session_id", "sender", "text", "file"?: {"sha256", "size", "mime_type", "file_name"}}
        -> {"ref", "ok"}
    {"do": "remove_device", "ref", "session_id"}                          -> {"ref", "ok"}
    {"do": "set", "ref", "drop_repeats"?, "login_delay_s"?, "logins_per_second"?, "restricted"?: ["628..."]}
        -> {"ref", "ok", "drop_repeats", "login_delay_s", "logins_per_second", "restricted"}
    {"do": "stats", "ref"}                                                -> {"ref", "ok", "stats": {...}}

A refusal is ``{"ref", "ok": false, "reason"}``, with ``code`` (463) and ``retry_after_s`` where they apply. A frame of
an evicted connection gets no answer. ``credentials`` are ``{"session_id", "phone", "secret", "version"}``.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, assert_never

from simulated_whatsapp.core import (
    Acknowledged,
    DeviceCredentials,
    DeviceRemoved,
    Dropped,
    Event,
    InboundMessage,
    Judge,
    Paired,
    PairingCode,
    Push,
    Refusal,
    Refused,
    Replaced,
)
from simulated_whatsapp.ledger import Delivery
from simulated_whatsapp.uploads import Uploads

Frame = dict[str, Any]
Write = Callable[[Frame], None]


class Book(Protocol):
    """Where deliveries go before their sender hears of them."""

    def append(self, deliveries: tuple[Delivery, ...]) -> None: ...


Later = Callable[[float, Callable[[], None]], object]
"""Runs a call after so many seconds."""


class Exchange:
    """Every connection's frames, answered by one judge.

    ``clock`` gives unix seconds. With ``scan_after_s`` a simulated phone accepts each pairing code that
    long after it was shown. ``files`` is the folder of the files that people send; None: they send none.
    """

    def __init__(
        self,
        judge: Judge,
        book: Book,
        *,
        clock: Callable[[], float],
        later: Later,
        scan_after_s: float | None = None,
        files: Path | None = None,
    ) -> None:
        self.judge = judge
        self._book = book
        self._clock = clock
        self._later = later
        self._scan_after_s = scan_after_s
        self._writers: dict[str, Write] = {}
        self._opened = 0
        self._uploads = Uploads(files)
        self._answers: dict[str, Callable[[str, Frame], Frame | None]] = {
            "login": self._login,
            "confirm": self._confirm,
            "pair": self._pair,
            "upload": self._upload,
            "download": self._download,
            "send": self._send,
            "received": self._received,
            "logout": lambda connection, _: self._told(self.judge.logout(connection)),
            "preregister": self._preregister,
            "link": lambda _, frame: self._link(frame),
            "keep": self._keep,
            "deliver": self._deliver,
            "remove_device": lambda _, frame: self._told(self.judge.remove_device(frame["session_id"])),
            "set": lambda _, frame: self._set(frame),
            "stats": lambda *_: {"ok": True, "stats": asdict(self.judge.stats())},
        }

    def opened(self, write: Write) -> str:
        """A new connection; its name is for the other calls."""
        self._opened += 1
        connection = f"c{self._opened}"
        self._writers[connection] = write
        return connection

    def closed(self, connection: str) -> None:
        self._writers.pop(connection, None)
        self._uploads.drop(connection)
        self.judge.disconnected(connection)

    def frame(self, connection: str, frame: Frame) -> None:
        """Answer one frame; a frame that makes no sense is answered with the reason ``bad_frame``."""
        answer = self._answers.get(str(frame.get("do")))
        if answer is None:
            self._write(connection, {"ref": frame.get("ref"), "ok": False, "reason": "bad_frame"})
            return
        try:
            reply = answer(connection, frame)
        except (KeyError, TypeError, ValueError, AttributeError):
            reply = {"ok": False, "reason": "bad_frame"}
        if reply is not None:
            self._reply(connection, frame, reply)

    def _reply(self, connection: str, frame: Frame, reply: Frame) -> None:
        reply["ref"] = frame.get("ref")
        delay_s = reply.pop("delay_s", 0.0)
        if delay_s:
            self._later(delay_s, lambda: self._write(connection, reply))
        else:
            self._write(connection, reply)

    def _write(self, connection: str, frame: Frame) -> None:
        write = self._writers.get(connection)
        if write is not None:
            write(frame)

    def _push(self, pushes: tuple[Push, ...]) -> None:
        for push in pushes:
            self._write(push.connection, _pushed(push.event))

    def _told(self, result: Any) -> Frame:
        if isinstance(result, Refused):
            return _refusal(result)
        self._push(result.pushes)
        return {"ok": True}

    # A device's questions

    def _login(self, connection: str, frame: Frame) -> Frame:
        result = self.judge.login(
            DeviceCredentials(**frame["credentials"]),
            frame["next_counter"],
            frame.get("label"),
            connection,
            self._clock(),
        )
        if isinstance(result, Refused):
            return _refusal(result)
        self._push(result.pushes)
        return {
            "ok": True,
            "phone": result.phone,
            "credentials": asdict(result.renewed),
            "waiting": [asdict(message) for message in result.waiting],
            "delay_s": result.delay_s,
        }

    def _confirm(self, connection: str, frame: Frame) -> None:
        self.judge.confirm(connection, frame["version"])

    def _pair(self, connection: str, frame: Frame) -> Frame:
        pairing = self.judge.pair(frame["session_id"], frame.get("phone"), connection, self._clock())
        if self._scan_after_s is not None:
            self._scan_later(pairing, self._scan_after_s)
        return {"ok": True, **asdict(pairing)}

    def _scan_later(self, pairing: PairingCode, delay_s: float) -> None:
        def scan() -> None:
            self._link({"code": pairing.code})

        self._later(delay_s, scan)

    def _send(self, connection: str, frame: Frame) -> Frame | None:
        result = self.judge.send(
            connection,
            frame["message_id"],
            frame["recipient"],
            frame["text"],
            frame["counter"],
            self._clock(),
            frame.get("content"),
            frame.get("media_sha256"),
        )
        match result:
            case Acknowledged(at, delivery):
                if delivery is not None:
                    self._book.append((delivery,))
                return {"ok": True, "at": at}
            case Refused():
                return _refusal(result)
            case Dropped():
                return None
            case _:
                assert_never(result)

    def _upload(self, connection: str, frame: Frame) -> Frame:
        whole = self._uploads.add(connection, frame["upload"], base64.b64decode(frame["data"]), frame["last"])
        if whole is None:
            return {"ok": True}
        refused = self.judge.uploaded(connection, whole.sha256, whole.size)
        return _refusal(refused) if refused is not None else {"ok": True, "sha256": whole.sha256, "size": whole.size}

    def _download(self, connection: str, frame: Frame) -> Frame:
        sha256, at = str(frame["sha256"]), int(frame["at"])
        refused = self.judge.may_download(connection, self._uploads.kept(sha256))
        if refused is not None:
            return _refusal(refused)
        return {"ok": True, "data": base64.b64encode(self._uploads.piece(sha256, at)).decode()}

    def _received(self, connection: str, frame: Frame) -> None:
        self.judge.received(connection, frame["id"])

    # Administration

    def _preregister(self, _: str, frame: Frame) -> Frame:
        devices = [(str(session_id), str(phone)) for session_id, phone in frame["devices"]]
        return {"ok": True, "credentials": [asdict(given) for given in self.judge.preregister(devices)]}

    def _link(self, frame: Frame) -> Frame:
        result = self.judge.link(frame["code"], self._clock(), frame.get("phone"))
        if isinstance(result, Refused):
            return _refusal(result)
        self._push(result.pushes)
        return {"ok": True, "session_id": result.session_id}

    def _keep(self, connection: str, frame: Frame) -> Frame:
        piece = base64.b64decode(frame["data"])
        whole = self._uploads.add(connection, frame["upload"], piece, frame["last"], keep=True)
        return {"ok": True} if whole is None else {"ok": True, "sha256": whole.sha256, "size": whole.size}

    def _deliver(self, _: str, frame: Frame) -> Frame:
        file, now = frame.get("file"), self._clock()
        if file is not None and not self._uploads.kept(str(file["sha256"])):
            return _refusal(Refused(Refusal.MEDIA_MISSING))
        return self._told(self.judge.deliver(frame["session_id"], frame["sender"], frame["text"], now, file))

    def _set(self, frame: Frame) -> Frame:
        rules = self.judge.rules
        rules.drop_repeats = bool(frame.get("drop_repeats", rules.drop_repeats))
        rules.login_delay_s = float(frame.get("login_delay_s", rules.login_delay_s))
        rules.logins_per_second = float(frame.get("logins_per_second", rules.logins_per_second))
        self.judge.restricted = set(frame.get("restricted", self.judge.restricted))
        return {
            "ok": True,
            "drop_repeats": rules.drop_repeats,
            "login_delay_s": rules.login_delay_s,
            "logins_per_second": rules.logins_per_second,
            "restricted": sorted(self.judge.restricted),
        }


def _refusal(refused: Refused) -> Frame:
    frame: Frame = {"ok": False, "reason": refused.reason.value}
    if refused.code is not None:
        frame["code"] = refused.code
    if refused.retry_after_s:
        frame["retry_after_s"] = refused.retry_after_s
    return frame


def _pushed(event: Event) -> Frame:
    match event:
        case Replaced():
            return {"push": "replaced"}
        case DeviceRemoved():
            return {"push": "device_removed"}
        case Paired(credentials):
            return {"push": "paired", "credentials": asdict(credentials)}
        case InboundMessage():
            return {"push": "inbound", **_fields(event)}
        case _:
            assert_never(event)


def _fields(message: InboundMessage) -> Mapping[str, Any]:
    told = {"id": message.id, "sender": message.sender, "text": message.text, "at": message.at}
    return told if message.file is None else {**told, "file": message.file}
