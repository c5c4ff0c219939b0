"""The vault on a SQL database: credentials that refuse a stale holder by themselves."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Self, TypeVar

import structlog
from sqlalchemy import Connection

from homing.model.instances.vault import (
    Committed,
    Grant,
    Holder,
    Holding,
    Login,
    RatchetStep,
    Reservation,
    Reserved,
    ReservedBefore,
    SessionKey,
    StaleEpoch,
    Unsent,
    VaultSealed,
)
from homing.ports import StoreUnavailable
from homing.store.db.batcher import Together
from homing.store.db.database import Database
from homing.store.db.schema.columns import storable
from homing.store.db.write_behind import WriteBehind
from homing.store.vault import grants as vault_grants
from homing.store.vault import keys as vault_keys
from homing.store.vault import logins as vault_logins
from homing.store.vault import reserving, settling, stepping
from homing.store.vault.keys import Rotated
from homing.store.vault.reserving import ReservationRequest
from homing.store.vault.rows import refusals
from homing.store.vault.sealing import KeyRing, frame_place
from homing.store.vault.settling import AcknowledgedCounter, ToldMessage

T = TypeVar("T")
_Answer = Reservation | StaleEpoch

_LARGEST_BATCH = 500
_NOTED_WITHIN_S = 0.05
_NOTES_KEPT = 50_000

log = structlog.get_logger("homing")


class SqlVault:
    """`ports.Credentials` on SQLite and PostgreSQL.

    Calls that wait at the same time are done together, in the order of their coming.
    """

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database, self._keys = database, keys
        self._reserving: Together[Sequence[ReservationRequest], list[_Answer]] = Together(
            self._reserve_all, largest=_LARGEST_BATCH
        )
        self._saving: Together[tuple[Grant, Login], Grant | StaleEpoch] = Together(self._save_all)
        self._stepping: Together[tuple[Grant, RatchetStep], Committed | StaleEpoch] = Together(self._commit_all)
        self._heard: WriteBehind[tuple[str, str, str], ToldMessage] = WriteBehind(
            self._told_all, within_s=_NOTED_WITHIN_S, kept=_NOTES_KEPT
        )
        self._notes: WriteBehind[tuple[str, int], AcknowledgedCounter] = WriteBehind(
            self._note_all, within_s=_NOTED_WITHIN_S, kept=_NOTES_KEPT
        )

    @classmethod
    async def of(cls, database: Database, keys: KeyRing) -> Self:
        """The vault, once it is certain that these are its keys. Raises VaultSealed with one sentence if not."""
        await database.write(lambda c: vault_keys.check(c, keys, database.now(c)))
        return cls(database, keys)

    async def open(self, session_id: str, *, epoch: int | None, holder: Holder) -> Grant | StaleEpoch:
        [opened] = (await self.open_many({session_id: epoch}, holder=holder)).values()
        if isinstance(opened, VaultSealed):
            raise opened
        return opened

    async def open_many(
        self, wanted: Mapping[str, int | None], *, holder: Holder
    ) -> dict[str, Grant | StaleEpoch | VaultSealed]:
        if not wanted:
            return {}
        await self._write_notes()
        asked = {storable(session): epoch for session, epoch in wanted.items()}
        opened = await self._database.write(
            lambda c: vault_grants.open_many(c, self._database, self._keys, asked, holder)
        )
        return {session: opened[storable(session)] for session in wanted}

    async def reserve(self, grant: Grant, wanted: Sequence[Unsent]) -> list[Reservation] | StaleEpoch:
        calls = [self._wanted(grant, each) for each in wanted]
        answers: list[Reservation] = []
        for answer in await self._reserving(calls):
            if isinstance(answer, StaleEpoch):
                return answer
            answers.append(self._as_noted(grant, answer))
        return answers

    async def commit(self, grant: Grant, step: RatchetStep) -> Committed | StaleEpoch:
        committed = await self._stepping((grant, step))
        if isinstance(committed, StaleEpoch):
            return committed
        return replace(committed, reservations=[self._as_noted(grant, each) for each in committed.reservations])

    async def keys(self, session_id: str, kind: str, ids: Collection[str]) -> dict[str, bytes]:
        asked = storable(session_id)
        return await self._database.read(lambda c: stepping.keys(c, self._keys, asked, kind, ids)) if ids else {}

    async def had(self, session_id: str, message_id: str, digest: str) -> bool:
        return await self._database.read(lambda c: stepping.had(c, storable(session_id), storable(message_id), digest))

    async def told(self, grant: Grant, messages: Collection[tuple[str, str]]) -> None:
        for message_id, digest in messages:
            self._heard.add((grant.session_id, message_id, digest), ToldMessage(grant, message_id, digest))

    async def acknowledge(self, grant: Grant, counters: Collection[int]) -> None:
        for counter in counters:
            self._notes.add((grant.session_id, counter), AcknowledgedCounter(grant, counter))

    async def drop(self, grant: Grant, counters: Collection[int]) -> StaleEpoch | None:
        return await self._database.write(lambda c: settling.drop(c, grant, counters)) if counters else None

    async def save(self, grant: Grant, login: Login) -> Grant | StaleEpoch:
        return await self._saving((grant, login))

    async def forget(self, grant: Grant) -> StaleEpoch | None:
        return await self._at(lambda c, now: vault_logins.forget(c, grant, now))

    async def release(self, grants: Sequence[Grant]) -> dict[str, StaleEpoch]:
        if not grants:
            return {}
        await self._write_notes()
        return await self._at(lambda c, now: vault_grants.release(c, grants, now))

    async def held_by(self, instance_url: str) -> list[Holding]:
        return await self._database.read(lambda c: vault_logins.held_by(c, instance_url))

    async def held_by_boot(self, holder: Holder) -> dict[str, int]:
        return await self._database.read(lambda c: vault_logins.held_by_boot(c, holder))

    async def unheld(self, session_ids: Collection[str]) -> list[Holding]:
        return await self._database.read(lambda c: vault_logins.unheld(c, session_ids))

    async def epoch(self, session_id: str) -> int:
        return await self._database.read(lambda c: vault_logins.epoch(c, session_id))

    async def redeclare(self, grants: Sequence[Grant]) -> dict[str, StaleEpoch]:
        if not grants:
            return {}
        return await self._at(lambda c, now: vault_grants.redeclare(c, self._keys, grants, now))

    async def adopt(self, logins: Mapping[str, Login], keys: Mapping[str, Sequence[SessionKey]] | None = None) -> None:
        if logins:
            kept = {storable(session): login for session, login in logins.items()}
            state = {storable(session): of_it for session, of_it in (keys or {}).items()}
            await self._at(lambda c, now: vault_grants.adopt(c, self._keys, kept, state, now))

    async def rotate(self, limit: int, *, skip: Collection[str] = ()) -> Rotated:
        """Seal up to so many rows anew under the newest key, leaving out these sessions. None are left when it did
        nothing."""
        return await self._database.write(lambda c: vault_keys.rotate(c, self._keys, limit, skip))

    async def left_to_rotate(self) -> int:
        return await self._database.read(lambda c: vault_keys.left_to_rotate(c, self._keys))

    async def close(self) -> None:
        """Do what waits and write what was noted. The database stays open."""
        await self._reserving.close()
        await self._saving.close()
        await self._stepping.close()
        try:
            await self._heard.close()
            await self._notes.close()
        except StoreUnavailable as error:
            log.warning("Acknowledgements could not be noted; those messages go out again", reason=str(error))

    def _wanted(self, grant: Grant, unsent: Unsent) -> ReservationRequest:
        place = frame_place(grant.session_id, unsent.message_id)
        return ReservationRequest(grant, storable(unsent.message_id), self._keys.seal(place, unsent.frame))

    async def _reserve_all(self, calls: Sequence[Sequence[ReservationRequest]]) -> Sequence[list[_Answer]]:
        firsts: dict[Hashable, ReservationRequest] = {}
        for call in calls:
            for each in call:
                firsts.setdefault(each.message, each)
        asked = list(firsts.values())
        found = await self._database.write_at_once(lambda c: reserving.reserve(c, self._database, asked))
        refused = [each.grant for place, each in enumerate(asked) if place not in found]
        stale = await self._database.read(lambda c: refusals(c, refused)) if refused else {}
        answers = {
            each.message: found[place] if place in found else stale[each.grant.session_id]
            for place, each in enumerate(asked)
        }
        return [[_again(answers[each.message], first=firsts[each.message] is each) for each in call] for call in calls]

    async def _commit_all(self, steps: Sequence[tuple[Grant, RatchetStep]]) -> Sequence[Committed | StaleEpoch]:
        return await self._at(lambda c, now: stepping.commit(c, self._database, self._keys, steps, now))

    async def _write_notes(self) -> None:
        await self._notes.write_now()
        await self._heard.write_now()

    async def _told_all(self, notes: Sequence[ToldMessage]) -> None:
        await self._at(lambda c, now: settling.told(c, notes, now))

    async def _save_all(self, calls: Sequence[tuple[Grant, Login]]) -> Sequence[Grant | StaleEpoch]:
        return await self._at(lambda c, now: vault_logins.save(c, self._keys, calls, now))

    async def _at(self, fn: Callable[[Connection, datetime], T]) -> T:
        return await self._database.write(lambda c: fn(c, self._database.now(c)))

    async def _note_all(self, notes: Sequence[AcknowledgedCounter]) -> None:
        await self._at(lambda c, now: settling.acknowledge(c, notes, now))

    def _as_noted(self, grant: Grant, answer: Reservation) -> Reservation:
        """The answer with what was noted in the meantime and is not written yet."""
        if isinstance(answer, ReservedBefore) and self._notes.get((grant.session_id, answer.counter)) is not None:
            return ReservedBefore(answer.counter, acknowledged=True)
        return answer


def _again(answer: _Answer, *, first: bool) -> _Answer:
    """The answer for another one of a message that was asked for twice at the same time."""
    return answer if first or not isinstance(answer, Reserved) else ReservedBefore(answer.counter, acknowledged=False)
