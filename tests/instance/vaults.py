"""A vault and leases in memory, until the real ones stand in for them."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from homing.model.leases import Incarnation, Renewed, StoreIdentity
from homing.model.vault import (
    Grant, Holder, Holding, Login, Reservation, Reserved, ReservedBefore, StaleEpoch, Unfinished, Unsent, VaultSealed
)
from homing.ports import StoreUnavailable


@dataclass
class Row:
    epoch: int = 0
    holder: Holder | None = None
    login: Login | None = None
    version: int = 0
    reserved_to: int = 0
    frames: dict[int, list] = field(default_factory=dict)  # counter -> [id, frame, at, settled, acked]


class MemoryVault:
    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.broken = False
        self.reservations = 0
        self.delay_s = 0.0
        self.revoked: dict[str, int] = {}

    def row(self, session_id: str) -> Row:
        if self.broken:
            raise StoreUnavailable("the store is gone")
        return self.rows.setdefault(session_id, Row())

    async def open(self, session_id, *, epoch, holder):
        row = self.row(session_id)
        same = epoch == row.epoch and row.holder == holder
        if epoch is not None and epoch <= row.epoch and not same:
            return StaleEpoch(row.epoch)
        if row.holder and row.holder != holder:
            self.revoked[row.holder.incarnation] = self.revoked.get(row.holder.incarnation, 0) + 1
        row.epoch = row.epoch + 1 if epoch is None else epoch
        row.holder = holder
        left = tuple(Unfinished(c, f[0], f[1], time.monotonic() - f[2]) for c, f in sorted(row.frames.items()) if not f[3])
        return Grant(session_id, row.epoch, holder, row.login, row.reserved_to + 1, left, row.version)

    async def open_many(self, wanted, *, holder):
        return {name: await self.open(name, epoch=epoch, holder=holder) for name, epoch in wanted.items()}

    def _under(self, grant: Grant) -> Row | StaleEpoch:
        row = self.row(grant.session_id)
        return row if (row.epoch, row.holder) == (grant.epoch, grant.holder) else StaleEpoch(row.epoch)

    async def reserve(self, grant, wanted):
        self.reservations += 1
        await asyncio.sleep(self.delay_s or 0.004 / self.reservations)
        row = self._under(grant)
        if isinstance(row, StaleEpoch):
            return row
        answers = []
        for each in wanted:
            known = next(((c, f) for c, f in row.frames.items() if f[0] == each.message_id), None)
            if known and (known[1][4] or not known[1][3]):
                answers.append(ReservedBefore(known[0], known[1][4]))
                continue
            if known:
                del row.frames[known[0]]
            row.reserved_to += 1
            row.frames[row.reserved_to] = [each.message_id, each.frame, time.monotonic(), False, False]
            answers.append(Reserved(row.reserved_to))
        return answers

    async def acknowledge(self, grant, counters):
        row = self._under(grant)
        if isinstance(row, Row):
            for counter in counters:
                row.frames[counter][3:] = [True, True]

    async def drop(self, grant, counters):
        row = self._under(grant)
        if isinstance(row, Row):
            for counter in counters:
                row.frames[counter][3] = True

    async def save(self, grant, login):
        row = self._under(grant)
        if isinstance(row, StaleEpoch):
            return row
        row.login, row.version = login, row.version + 1
        return replace(grant, login=login, login_version=row.version)

    async def forget(self, grant):
        row = self._under(grant)
        if isinstance(row, StaleEpoch):
            return row
        row.login, row.frames = None, {}
        return None

    async def release(self, grants):
        refused = {}
        for grant in grants:
            row = self._under(grant)
            if isinstance(row, StaleEpoch):
                refused[grant.session_id] = row
            else:
                row.holder = None
        return refused

    async def held_by(self, instance_url):
        self.row("")
        return [Holding(n, r.epoch) for n, r in self.rows.items() if r.holder and r.holder.instance_url == instance_url and r.login]

    async def held_by_boot(self, holder):
        self.row("")
        return {n: r.epoch for n, r in self.rows.items() if r.holder == holder}

    async def unheld(self, session_ids):
        rows = {n: self.row(n) for n in session_ids}
        return [Holding(n, r.epoch) for n, r in rows.items() if r.login and not r.holder]

    async def epoch(self, session_id):
        return self.row(session_id).epoch

    async def redeclare(self, grants):
        refused = {}
        for grant in grants:
            row = self.row(grant.session_id)
            if row.epoch > grant.epoch:
                refused[grant.session_id] = StaleEpoch(row.epoch)
            else:
                row.epoch, row.holder = grant.epoch, grant.holder
        return refused

    async def adopt(self, logins):
        for name, login in logins.items():
            row = self.row(name)
            row.login, row.holder = login, None

    async def prune(self, *, keep_s, limit):
        return 0


class MemoryLeases:
    def __init__(self, vault: MemoryVault) -> None:
        self.vault = vault
        self.store = StoreIdentity("memory", 1)
        self.until: dict[str, float] = {}
        self.ended: dict[str, str] = {}

    async def begin(self, holder, *, expiry_s):
        self.vault.row("")
        self.until[holder.incarnation] = time.monotonic() + expiry_s
        return Renewed(0, False, self.store)

    async def renew(self, holder, *, expiry_s):
        self.vault.row("")
        if holder.incarnation in self.ended or holder.incarnation not in self.until:
            return None
        lapsed = self.until[holder.incarnation] < time.monotonic()
        self.until[holder.incarnation] = time.monotonic() + expiry_s
        return Renewed(self.vault.revoked.get(holder.incarnation, 0), lapsed, self.store)

    async def end(self, instance_url, how, *, incarnation=None):
        self.vault.row("")
        self.ended[incarnation] = how
        return 1
