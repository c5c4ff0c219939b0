"""Seven families of other people's gateways: the measurements of `bench.mixed`, as claims."""

from collections.abc import AsyncIterator

import pytest

from bench import mixed
from bench.fleet import Fleet, open_fleet
from bench.report import Report, Row

pytestmark = [pytest.mark.e2e, pytest.mark.walk]


def broken(report: Report) -> list[Row]:
    """What was claimed and is not so, times apart: those are for a machine that does nothing else."""
    return [row for row in report.rows if not row.kept and not row.figures and row.what != "time"]


@pytest.fixture
async def seven() -> AsyncIterator[Fleet]:
    """Two gateways of each family with 300 sessions, of which nobody has told us."""
    async with open_fleet(
        accounts=300, contacts=10, families=mixed.TWICE, strangers=True, settings=mixed.SETTINGS
    ) as up:
        yield up


@pytest.fixture
async def two_wahas() -> AsyncIterator[Fleet]:
    async with open_fleet(accounts=6, contacts=4, families=("waha", "waha")) as up:
        yield up


@pytest.mark.walk
async def test_a_mixed_fleet_is_adopted_observed_routed_and_true_when_some_of_it_fall_ill(seven: Fleet) -> None:
    report = await mixed.run_ill(seven, rounds=1)
    assert broken(report) == []


async def test_a_session_moved_by_hand_is_found_in_the_send_and_corrected(two_wahas: Fleet) -> None:
    report = await mixed.run_moved(two_wahas, moves=4)
    assert broken(report) == []
    moved = {each["session_id"]: each["to_url"] for each in (await two_wahas.api("/moves?kind=rediscovery"))["data"]}
    assert len(moved) == 4
