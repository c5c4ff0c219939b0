"""The devices over a restart: one JSON file, written whole and renamed into place."""

import json
from pathlib import Path

from simulated_whatsapp.core import Device, InboundMessage, Judge


def save(path: Path, judge: Judge) -> None:
    """Write every device with its highest ratchet counter and its waiting messages."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(path, json.dumps([_written(device) for device in judge.devices.values()]))
    _write(_beside(path), json.dumps(judge.media))


def load(path: Path, judge: Judge) -> None:
    """Put the file's devices into the judge, none of them connected."""
    for row in json.loads(path.read_text()):
        waiting = {message["id"]: InboundMessage(**message) for message in row.pop("waiting")}
        judge.devices[row["session_id"]] = Device(**row, waiting=waiting)
    if _beside(path).exists():
        judge.media |= json.loads(_beside(path).read_text())


def _write(path: Path, text: str) -> None:
    """All of it or nothing, and for nobody else to read."""
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.replace(path)


def _beside(path: Path) -> Path:
    """The list of the files that were uploaded."""
    return path.with_name(path.name + ".media")


def _written(device: Device) -> dict[str, object]:
    return {
        "session_id": device.session_id,
        "phone": device.phone,
        "secret": device.secret,
        "version": device.version,
        "counter": device.counter,
        "removed": device.removed,
        "waiting": [
            {
                "id": message.id,
                "sender": message.sender,
                "text": message.text,
                "at": message.at,
                "file": message.file,
            }
            for message in device.waiting.values()
        ],
    }
