"""Leases: who may act, judged by the store's clock, on every store."""

import pytest

from homing.model.fleet import InstanceUrl
from homing.model.leases import Ended
from homing.model.vault import Holder
from homing.store.database import Database
from homing.store.leases import SqlLeases

A = InstanceUrl("http://localhost:3001")
ONE = Holder(A, "boot-one")


@pytest.fixture
def leases(database: Database) -> SqlLeases:
    return SqlLeases(database)


async def test_a_lease_is_begun_renewed_and_ended(leases: SqlLeases) -> None:
    begun = await leases.begin(ONE, expiry_s=6)
    assert (begun.revoked, begun.was_lapsed) == (0, False)
    renewed = await leases.renew(ONE, expiry_s=6)
    assert renewed is not None
    assert not renewed.was_lapsed
    assert renewed.store == begun.store == await leases.identity()
    [boot] = await leases.incarnations()
    assert boot.holds_lease
    assert 5 < boot.lease_left_s <= 6
    assert await leases.end(A, Ended.LEFT) == 1
    assert await leases.end(A, Ended.LEFT) == 0
    assert await leases.renew(ONE, expiry_s=6) is None
    [boot] = await leases.incarnations()
    assert (boot.ended, boot.holds_lease) == (Ended.LEFT, False)
