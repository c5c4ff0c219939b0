"""Keys as rows of the vault: prekeys by the dozen in a row, all else one by one.

A device has some 800 prekeys, of which hardly one a day is used: a row for each would be most of the vault.
"""

import base64
import json
from collections.abc import Collection, Iterable

import msgspec

from homing.instance.engine import DeviceState
from homing.model.instances.vault import SessionKey

PREKEY = "pre-key"
PACK = "pre-keys"
A_PACK = 64

Changed = Iterable[tuple[str, str, str | None]]
"""Kind, id and value (None: gone), as the engine's process tells them."""


class PackedKeys:
    """The keys of one device, between the engine's process and the vault."""

    def __init__(self, state: DeviceState) -> None:
        self._state = state
        self._packs: dict[str, dict[str, bytes]] = {}

    async def get(self, kind: str, ids: Collection[str]) -> dict[str, str]:
        """Those of these that there are."""
        if kind != PREKEY:
            return {each: value.decode() for each, value in (await self._state.get(kind, ids)).items()}
        await self.load(ids)
        found = {each: self._packs[_pack(each)].get(each) for each in ids}
        return {each: _unpacked(value) for each, value in found.items() if value is not None}

    async def load(self, ids: Collection[str]) -> None:
        """Have the rows at hand that these prekeys are in."""
        missing = {_pack(each) for each in ids} - self._packs.keys()
        if missing:
            kept = await self._state.get(PACK, missing)
            for pack in missing:
                known = msgspec.msgpack.decode(kept[pack], type=dict[str, bytes]) if pack in kept else {}
                self._packs.setdefault(pack, known)

    def missing(self, changed: Changed) -> bool:
        """Whether rows of prekeys that change are not at hand yet."""
        return any(kind == PREKEY and _pack(each) not in self._packs for kind, each, _ in changed)

    def rows(self, changed: Changed) -> list[SessionKey]:
        """What changes in the vault."""
        rows, packs = [], dict[str, None]()
        for kind, each, value in changed:
            if kind != PREKEY:
                rows.append(SessionKey(kind, each, None if value is None else value.encode()))
                continue
            pack = self._packs[_pack(each)]
            packs[_pack(each)] = None
            if value is None:
                pack.pop(each, None)
            else:
                pack[each] = _packed(value)
        whole = {pack: self._packs[pack] for pack in packs}
        return rows + [SessionKey(PACK, pack, msgspec.msgpack.encode(of) if of else None) for pack, of in whole.items()]


def packed_rows(keys: Iterable[tuple[str, str, str]]) -> list[SessionKey]:
    """The rows of a device's keys, all of which are given."""
    rows, packs = [], dict[str, dict[str, bytes]]()
    for kind, each, value in keys:
        if kind == PREKEY:
            packs.setdefault(_pack(each), {})[each] = _packed(value)
        else:
            rows.append(SessionKey(kind, each, value.encode()))
    return rows + [SessionKey(PACK, pack, msgspec.msgpack.encode(of)) for pack, of in packs.items()]


def _pack(prekey: str) -> str:
    return str(int(prekey) // A_PACK) if prekey.isdecimal() else "others"


def _packed(value: str) -> bytes:
    """The two halves, 32 bytes each; as it is told where it is not that."""
    told = json.loads(value)
    try:
        halves = [base64.b64decode(told[half]["data"], validate=True) for half in ("private", "public")]
    except (KeyError, TypeError, ValueError):
        return value.encode()
    return b"".join(halves) if [len(half) for half in halves] == [32, 32] else value.encode()


def _unpacked(kept: bytes) -> str:
    if len(kept) != 64:
        return kept.decode()
    halves = {"private": kept[:32], "public": kept[32:]}
    told = {name: {"type": "Buffer", "data": base64.b64encode(half).decode()} for name, half in halves.items()}
    return json.dumps(told)
