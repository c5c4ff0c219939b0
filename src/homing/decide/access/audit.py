"""What the audit log may show, and whether it is still what was written.

Each entry's `chain` is a code over the entry and the `chain` before it, keyed with the gateways' secret: whoever
changes or removes an entry would have to make all later ones anew, which takes the secret. The signed head says where
the chain ends, and the signed start, which retention leaves, where it begins.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from homing.model.directory.audit import Broken, ChainVerdict, Checkpoint, Entry, Mark

BEGINNING = "0" * 64
"""What the first entry of all is tied to."""
UNKEYED = ""
"""The name of the key that is none."""

# --- what is shown --------------------------------------------------------------------------------------------

_SHOWN_DIGITS = 3
_SECRET = re.compile(r"secret|token|password|passwd|api_?key|hash|pairing|\bqr\b|credential", re.IGNORECASE)
_PHONE = re.compile(r"phone|person", re.IGNORECASE)
_IDENTIFIERS = frozenset({"id", "uuid", "session_id", "account_uuid", "contact_uuid", "key_id", "workspace_id"})
_LIKE_A_PHONE = re.compile(r"\+?\d(?:[ ()./-]{0,2}\d){6,}")
_LOGIN_IN_URL = re.compile(r"(?<=//)[^/@\s]+(?=@)")


def masked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as the log may keep them: no secret, and of a phone the last digits only."""
    return {name: _masked(name, value) for name, value in fields.items()}


def _masked(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return masked(value)
    if isinstance(value, list | tuple):
        return [_masked(name, each) for each in value]
    if not isinstance(value, str):
        return value
    if _SECRET.search(name):
        return "***" if value else value
    if _PHONE.search(name):
        return _without_digits(value)
    if name in _IDENTIFIERS:
        return value
    return _LIKE_A_PHONE.sub(lambda found: _without_digits(found[0]), _LOGIN_IN_URL.sub("***", value))


def _without_digits(phone: str) -> str:
    shown = phone[-_SHOWN_DIGITS:] if len(phone) > 2 * _SHOWN_DIGITS else ""
    return re.sub(r"\d", "*", phone[: len(phone) - len(shown)]) + shown


def digest(things: Iterable[str]) -> str:
    """Of which things a bulk change was: the same for the same ones in whatever order."""
    return hashlib.sha256("\n".join(sorted(things)).encode()).hexdigest()


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of it changed: as it was, and as it is."""
    changed = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in changed}, {name: after[name] for name in changed}


# --- the chain ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChainKey:
    """What codes are made with. Without a secret they are plain digests."""

    id: str = UNKEYED
    secret: bytes = b""

    @classmethod
    def of(cls, secret: str) -> "ChainKey":
        """Named by a part of a code of its own, which tells nothing of the secret."""
        if not secret:
            return cls()
        own = hmac.digest(secret.encode(), b"homing audit", "sha256")
        return cls(hmac.digest(own, b"name", "sha256").hex()[:8], own)

    def code(self, kind: str, *told: Any) -> str:
        text = json.dumps([kind, self.id, *told], sort_keys=True, separators=(",", ":")).encode()
        return hmac.digest(self.secret, text, "sha256").hex() if self.secret else hashlib.sha256(text).hexdigest()


@dataclass(frozen=True, slots=True)
class ChainKeys:
    """The key in use, and older ones that entries may still be chained with."""

    newest: ChainKey = ChainKey()
    older: Sequence[ChainKey] = ()

    @classmethod
    def of(cls, secret: str, older: Iterable[str] = ()) -> "ChainKeys":
        return cls(ChainKey.of(secret), tuple(ChainKey.of(each) for each in older if each))

    def find(self, id: str | None) -> ChainKey | None:
        """The key of this name; that which is none is always known."""
        return next((key for key in (self.newest, *self.older, ChainKey()) if key.id == id), None)


NO_KEYS = ChainKeys()


def link(previous: str, entry: Entry, key: ChainKey) -> str:
    """The chain's value at an entry that stands behind one with the value `previous`."""
    act = entry.act
    who = [act.id, act.via.value, act.actor, act.request, act.origin, act.key_id, act.workspace_id]
    what = [entry.action, entry.subject, entry.before, entry.after, entry.count, entry.digest]
    return key.code("entry", previous, entry.id, _moment(entry.at), who, what)


def signed(mark: Mark, entry_id: int, chain: str, entries: int, at: datetime, key: ChainKey) -> Checkpoint:
    """The checkpoint with its signature."""
    signature = key.code("checkpoint", mark.value, entry_id, chain, entries, _moment(at))
    return Checkpoint(mark, entry_id, chain, entries, at, key.id, signature)


def doubt(checkpoint: Checkpoint, keys: ChainKeys) -> str | None:
    """Why a checkpoint is not to be believed; None if it is."""
    key = keys.find(checkpoint.keyed_by)
    if key is None:
        return f"the {checkpoint.mark} of the chain is signed with a secret that is not at hand; {_ADD_OLD}"
    at = checkpoint
    if signed(at.mark, at.entry_id, at.chain, at.entries, at.at, key).signature != at.signature:
        return f"the {checkpoint.mark} of the chain does not bear its signature"
    return None


def doubts(
    start: Checkpoint | None, head: Checkpoint | None, keys: ChainKeys, *, chained: bool, keyed: bool
) -> Broken | None:
    """What is wrong with the two marks of the log, by themselves.

    `chained` is whether any entry is, and `keyed` whether any is with a secret: whoever does not have it can make marks
    without one.
    """
    for checkpoint in filter(None, (start, head)):
        if (why := doubt(checkpoint, keys)) is not None:
            return Broken(checkpoint.entry_id, why)
    if head is None:
        if start is None and not chained:
            return None
        return Broken(start.entry_id if start is not None else 0, "the head of the chain is gone")
    if keyed and head.keyed_by == UNKEYED:
        return Broken(head.entry_id, "the head is signed without a secret, and entries are chained with one")
    if start is not None and head.keyed_by != UNKEYED and start.keyed_by == UNKEYED:
        return Broken(start.entry_id, "the start is signed without a secret, and the head is with one")
    return None


class Walk:
    """Goes along the log in the order of ids, and stays with the first thing that is wrong."""

    def __init__(self, start: Checkpoint | None, head: Checkpoint | None, keys: ChainKeys) -> None:
        self._start, self._head, self._keys = start, head, keys
        self._broken = doubts(start, head, keys, chained=False, keyed=False)
        self._previous = start.chain if start is not None else BEGINNING
        self._last_id = start.entry_id if start is not None else 0
        self._entries = self._waiting = self._unkeyed = 0
        self._keyed = False

    def step(self, entry: Entry) -> None:
        """The next entry. Behind the head none is chained yet, or it was in the meantime."""
        if self._head is None and entry.chain is not None:
            self._note(entry.id, "it is chained, and the head of the chain is gone")
        if self._head is None or entry.id > self._head.entry_id:
            self._waiting += 1
            return
        self._entries += 1
        if entry.id <= self._last_id:
            self._note(entry.id, "it stands where retention has removed everything")
        elif entry.chain is None:
            self._note(entry.id, "it is not chained, and later ones are")
        else:
            self._check_link(entry, entry.chain)
        self._last_id, self._previous = entry.id, entry.chain or self._previous

    def end(self) -> ChainVerdict:
        """What it came to."""
        removed = self._start.entries if self._start is not None else 0
        if self._head is not None:
            if (self._last_id, self._previous) != (self._head.entry_id, self._head.chain):
                self._note(self._last_id + 1, f"entries are gone from here up to {self._head.entry_id}, the head")
            elif self._keyed and self._head.keyed_by == UNKEYED:
                self._note(self._last_id, "it is chained with a secret, and the head is signed without one")
            elif self._head.entries != removed + self._entries:
                self._note(self._last_id, f"{self._head.entries} were chained, and {removed + self._entries} are known")
        return ChainVerdict(self._entries, self._waiting, self._unkeyed, removed, self._head, self._broken)

    def _check_link(self, entry: Entry, chain: str) -> None:
        key = self._keys.find(entry.keyed_by)
        if key is None:
            self._note(entry.id, f"it is chained with a secret that is not at hand; {_ADD_OLD}")
        elif key.id == UNKEYED and self._keyed:
            self._note(entry.id, "it is chained without a secret, and earlier ones are with one")
        elif link(self._previous, entry, key) != chain:
            self._note(entry.id, "it does not follow from what is before it: it was changed, or something is gone")
        self._keyed = self._keyed or entry.keyed_by != UNKEYED
        self._unkeyed += entry.keyed_by == UNKEYED

    def _note(self, entry_id: int, reason: str) -> None:
        if self._broken is None:
            self._broken = Broken(entry_id, reason)


_ADD_OLD = "add it to HOMING_OLD_SECRETS"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
