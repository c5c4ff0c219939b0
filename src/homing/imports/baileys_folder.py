"""A login as Baileys' multi-file state keeps it: a folder with `creds.json` and a file for each key.

As `useMultiFileAuthState` of Baileys 6 and 7 writes it: `KIND-ID.json`, with `/` in an id written `__` and `:` written
`-`, and bytes as `{"type": "Buffer", "data": base64}` (base64 or numbers in what is older).
"""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homing.imports.session_file import FileUnusable

CREDS = "creds.json"
KINDS = (
    "app-state-sync-version",
    "app-state-sync-key",
    "sender-key-memory",
    "sender-key",
    "identity-key",
    "lid-mapping",
    "device-list",
    "pre-key",
    "session",
    "tctoken",
)
"""The longer name before one that it begins with."""
NEEDED = ("noiseKey", "signedIdentityKey", "signedPreKey", "registrationId", "advSecretKey", "me", "account")
FILES_MAX = 500_000
FILE_MAX = 8 * 1024 * 1024
_DEVICE = re.compile(r"(\d{5,20})(?::\d+)?@s\.whatsapp\.net")

Seen = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class BaileysLogin:
    """What a folder holds. `keys` are kind, id and value as Baileys writes it; `broken` files are not whole."""

    creds: str = field(repr=False)
    keys: Sequence[tuple[str, str, str]] = field(repr=False)
    phone: str
    broken: Sequence[str] = ()
    ignored: int = 0


def read(folder: Path) -> BaileysLogin:
    """The login in a folder. Raises FileUnusable: it is none, is not linked, or is written to at this moment."""
    before = _seen(folder)
    if CREDS not in before:
        raise FileUnusable(
            "not_a_session",
            f"{folder} is no folder of a Baileys login: it has no {CREDS}; name the folder of one session",
        )
    creds = _creds(folder)
    keys, broken, ignored = [], [], 0
    for name in sorted(before.keys() - {CREDS}):
        named = named_key(name)
        if named is None:
            ignored += 1
            continue
        value = _value(folder / name)
        if value is None:
            broken.append(name)
        else:
            keys.append((*named, _written(value)))
    if _seen(folder) != before:
        raise FileUnusable(
            "folder_changes", f"{folder} changes while it is read: the program that uses this login runs; stop it first"
        )
    return BaileysLogin(_written(creds), keys, _phone(folder, creds), broken, ignored)


def named_key(file: str) -> tuple[str, str] | None:
    """The kind and the id of a key by its file's name; None where it is no key's."""
    stem, dot, ending = file.rpartition(".")
    kind = next((kind for kind in KINDS if stem.startswith(f"{kind}-")), None)
    if not dot or ending != "json" or kind is None:
        return None
    key = stem[len(kind) + 1 :]
    if kind == "sender-key" and key.count("--") >= 2:
        key = "::".join(key.rsplit("--", 2))  # GROUP::USER::DEVICE: the group's own id may have hyphens
    if kind == "app-state-sync-key":
        key = key.replace("__", "/")
    return (kind, key) if key else None


def _seen(folder: Path) -> Seen:
    found: Seen = {}
    try:
        for each in folder.iterdir():
            if each.is_file():
                told = each.stat()
                found[each.name] = (told.st_mtime_ns, told.st_size)
            if len(found) > FILES_MAX:
                raise FileUnusable("not_a_session", f"{folder} holds more than {FILES_MAX} files: it is no login's")
    except OSError as error:
        raise FileUnusable("unreadable", f"{folder} cannot be read: {error.strerror or error}") from None
    return found


def _value(path: Path) -> Any | None:
    """What is in a file, as Baileys 7 would have it: bytes in base64, where an older one wrote numbers.

    None if it is not whole, or nested too deep: Baileys, too, takes such a key for one that is not there.
    """
    try:
        if path.stat().st_size > FILE_MAX:
            return None
        return _modern(json.loads(path.read_bytes()))
    except OSError as error:
        raise FileUnusable("unreadable", f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        return None


def _creds(folder: Path) -> dict[str, Any]:
    creds = _value(folder / CREDS)
    if not isinstance(creds, dict):
        raise FileUnusable(
            "file_damaged",
            f"{folder / CREDS} is not whole: it was being written when its program ended; take it from a backup of the"
            " same moment as the keys, or pair anew",
        )
    lacking = [name for name in NEEDED if not creds.get(name)]
    if {"me", "account"} & set(lacking):
        raise FileUnusable("not_linked", f"No phone was linked to the login in {folder}: pair instead")
    if lacking:
        raise FileUnusable("file_damaged", f"{folder / CREDS} lacks {', '.join(lacking)}: it is no login of Baileys")
    return creds


def _phone(folder: Path, creds: dict[str, Any]) -> str:
    me = creds["me"].get("id") if isinstance(creds["me"], dict) else None
    found = _DEVICE.fullmatch(me) if isinstance(me, str) else None
    if found is None:
        raise FileUnusable("file_damaged", f"{folder / CREDS} does not say whose device it is")
    return found[1]


def _written(value: Any) -> str:
    """As Baileys 7 writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _modern(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("type") == "Buffer" and "data" in value:
            return {"type": "Buffer", "data": _base64(value["data"])}
        return {name: _modern(each) for name, each in value.items()}
    return [_modern(each) for each in value] if isinstance(value, list) else value


def _base64(data: Any) -> Any:
    if isinstance(data, list) and all(type(each) is int and 0 <= each < 256 for each in data):
        return base64.b64encode(bytes(data)).decode()
    return data
