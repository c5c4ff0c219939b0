"""The vault: one holder at a time, and nothing under a stale epoch, on every store."""

from collections.abc import AsyncIterator

import pytest

from homing.model.vault import (
    Grant,
    Holder,
    Reserved,
    ReservedBefore,
    StaleEpoch,
    Unsent,
)
from homing.store.database import Database
from homing.store.leases import SqlLeases
from homing.store.sealing import KeyRing, fresh_key
from homing.store.vault import SqlVault

ONE = Holder("http://localhost:3001", "boot-one")
TWO = Holder("http://localhost:3002", "boot-two")
LOGIN = {"noise": "secret", "registered": True, "ünï": [1, None]}
KEY = fresh_key("first")


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[SqlVault]:
    opened = await SqlVault.of(database, KeyRing(KEY))
    yield opened
    await opened.close()


@pytest.fixture
def leases(database: Database) -> SqlLeases:
    return SqlLeases(database)


async def opened(vault: SqlVault, session: str = "s", *, epoch: int | None = None, holder: Holder = ONE) -> Grant:
    grant = await vault.open(session, epoch=epoch, holder=holder)
    assert isinstance(grant, Grant)
    return grant


def unsent(*ids: str) -> list[Unsent]:
    return [Unsent(each, f"frame of {each}".encode()) for each in ids]


async def reserved(vault: SqlVault, grant: Grant, *ids: str) -> list[int]:
    answers = await vault.reserve(grant, unsent(*ids))
    assert not isinstance(answers, StaleEpoch)
    return [answer.counter for answer in answers]


async def test_a_session_is_opened_and_its_login_comes_back(vault: SqlVault) -> None:
    grant = await opened(vault)
    assert (grant.epoch, grant.login, grant.login_version, grant.next_counter) == (1, None, 0, 1)
    saved = await vault.save(grant, LOGIN)
    assert isinstance(saved, Grant)
    assert (saved.login, saved.login_version, saved.epoch) == (LOGIN, 1, 1)
    again = await opened(vault, holder=TWO)
    assert (again.epoch, again.login, again.login_version, again.holder) == (2, LOGIN, 1, TWO)
    assert await vault.save(saved, {"old": 1}) == StaleEpoch(2)


async def test_messages_are_numbered_in_their_order_and_once(vault: SqlVault) -> None:
    grant = await opened(vault)
    assert await vault.reserve(grant, unsent("a", "b")) == [Reserved(1), Reserved(2)]
    assert await vault.reserve(grant, unsent("b", "c", "c")) == [
        ReservedBefore(2, acknowledged=False),
        Reserved(3),
        ReservedBefore(3, acknowledged=False),
    ]
    await vault.acknowledge(grant, [2])
    assert await vault.reserve(grant, unsent("b")) == [ReservedBefore(2, acknowledged=True)]
    assert await vault.reserve(grant, []) == []
    after = await opened(vault, holder=TWO)
    assert [(each.counter, each.message_id, each.frame) for each in after.unfinished] == [
        (1, "a", b"frame of a"),
        (3, "c", b"frame of c"),
    ]
    assert after.next_counter == 4
    assert await vault.reserve(grant, unsent("d")) == StaleEpoch(2)
    assert await vault.reserve(after, unsent("b", "d")) == [ReservedBefore(2, acknowledged=True), Reserved(4)]


async def test_a_message_that_was_dropped_has_a_new_counter_when_it_is_wanted_again(vault: SqlVault) -> None:
    grant = await opened(vault)
    assert await reserved(vault, grant, "a", "b") == [1, 2]
    await vault.drop(grant, [1])
    grant = await opened(vault, holder=TWO)
    assert await vault.reserve(grant, unsent("c", "a", "a")) == [
        Reserved(3),
        Reserved(4),
        ReservedBefore(4, acknowledged=False),
    ]
    again = await opened(vault)
    assert [(each.counter, each.message_id) for each in again.unfinished] == [(2, "b"), (3, "c"), (4, "a")]
