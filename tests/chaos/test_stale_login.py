"""A stale holder of the faults: it says what it may say, and what the vault refuses never leaves."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from homing.instance.engine import Frame, Label, LoggedIn, Message
from homing.instance.session.device_state import SessionState
from homing.lab.chaos.faults.kinds import KINDS, OF_A_REAL_ENGINE
from homing.lab.chaos.faults.stale_login import STALE, StaleHolder
from homing.lab.chaos.stage import StageOrder
from homing.model.instances.vault import Grant, Holder, SessionKey
from homing.store.db.opening import open_database
from homing.store.grants.leases import SqlLeases
from homing.store.vault.sealing import KeyRing, fresh_key
from homing.store.vault.vault import SqlVault

MESSAGE = Message("3EB0A1", "628222", "under an epoch that is over")


class Connection:
    """One that lets everybody in, as WhatsApp does. `login_waits`: it never answers a login."""

    def __init__(self, state: SessionState, *, login_waits: bool = False) -> None:
        self._state, self._login_waits = state, login_waits
        self.labels: list[Label] = []
        self.said: list[Frame] = []
        self.is_closed = False

    async def login(self, login: Any, *, next_counter: int, label: Label) -> LoggedIn:
        self.labels.append(label)
        if self._login_waits:
            await self._state.committed(login)
            await asyncio.Event().wait()
        return LoggedIn("628111")

    async def seal(self, message: Message) -> bytes:
        self._state.changed([SessionKey("session", "628222.0", b"moved on")])
        return b"sealed"

    def transmit(self, frame: Frame) -> None:
        self.said.append(frame)

    def close(self) -> None:
        self.is_closed = True


async def goes_on(*, epochs: Sequence[str], login_waits: bool = False) -> tuple[Connection, dict[str, bytes]]:
    """What a holder at epoch 1 comes to after these grants to others, and the keys that are kept then."""
    database = open_database("sqlite://")
    vault = await SqlVault.of(database, KeyRing(fresh_key()))
    try:
        grant = await vault.open("s", epoch=None, holder=Holder("http://one", "boot"))
        assert isinstance(grant, Grant)
        grant = await vault.save(grant, {"creds": "{}"})
        assert isinstance(grant, Grant)
        for boot in epochs:
            await vault.open("s", epoch=None, holder=Holder("http://two", boot))
        holder = StaleHolder(grant, vault, SqlLeases(database))
        state = holder.state()
        wire: Any = Connection(state, login_waits=login_waits)
        await asyncio.wait_for(holder.until_stopped(wire, MESSAGE, state), 10)
        return wire, await vault.keys("s", "session", ["628222.0"])
    finally:
        await vault.close()
        await database.close()


async def test_whoever_still_has_the_grant_says_it_so_that_the_fault_is_one() -> None:
    wire, kept = await goes_on(epochs=[])
    assert [frame.message_id for frame in wire.said] == ["3EB0A1"]
    assert wire.labels == [Label(STALE, 1)]
    assert kept == {"628222.0": b"moved on"}


@pytest.mark.parametrize("login_waits", [False, True])
async def test_under_an_epoch_that_is_over_nothing_is_said_and_nothing_kept(login_waits: bool) -> None:
    wire, kept = await goes_on(epochs=["another"], login_waits=login_waits)
    assert (wire.said, kept, wire.is_closed) == ([], {}, True)


def test_a_real_engine_is_tried_with_it_and_no_other() -> None:
    assert "stale-login" in OF_A_REAL_ENGINE
    assert KINDS["stale-login"].missing(StageOrder()) == "--engine baileys"
