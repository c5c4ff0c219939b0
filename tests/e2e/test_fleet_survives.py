"""Real processes, real faults, and the judge's ledger: the measurements of `bench`, small, as claims."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from bench import cache, elsewhere, gateway_killed, mass_loss, restart
from bench.fleet import Fleet, open_fleet
from bench.report import Report, Row

pytestmark = [pytest.mark.e2e, pytest.mark.walk]


PATIENT = {"HOMING_SEND_DEADLINE": "40"}
"""Four processes may take longer to start than a send is usually given, where the machine is slow or busy."""
SETTINGS = ["sqlite, one gateway", "postgresql, two gateways"]


@pytest.fixture(params=SETTINGS)
async def fleet(request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    """Forty accounts on four instances that tell nobody: the gateways find out by themselves."""
    async with _opened(request, reports=False) as up:
        yield up


@pytest.fixture(params=SETTINGS)
async def reporting(request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    """The same, and the instances report to the first gateway."""
    async with _opened(request, reports=True) as up:
        yield up


def _opened(request: pytest.FixtureRequest, *, reports: bool) -> AbstractAsyncContextManager[Fleet]:
    several = "two" in request.param
    url = request.getfixturevalue("empty_postgres_url") if several else None
    return open_fleet(
        database_url=url,
        gateways=2 if several else 1,
        accounts=40,
        contacts=30,
        reports=reports,
        settings=PATIENT,
    )


def broken(report: Report) -> list[Row]:
    """What was claimed and is not so, times apart: those are for a machine that does nothing else."""
    return [row for row in report.rows if not row.kept and not row.figures]


async def test_a_session_started_elsewhere_is_found_while_messages_flow(fleet: Fleet) -> None:
    report = await elsewhere.run(fleet, repeats=2, rate=80)
    assert broken(report) == []


async def test_a_restart_of_all_instances_shuffles_sessions_and_loses_no_message(reporting: Fleet) -> None:
    report = await restart.run(reporting, repeats=2, rate=10)
    assert broken(report) == []


async def test_a_gateway_killed_before_it_could_answer_says_nothing_twice(reporting: Fleet) -> None:
    report = await gateway_killed.run(reporting, repeats=1)
    assert broken(report) == []


async def test_a_mass_loss_costs_each_instance_a_handful_of_lists(fleet: Fleet) -> None:
    report = await mass_loss.run(fleet)
    assert broken(report) == []


async def test_many_sends_read_the_directory_a_few_times(reporting: Fleet) -> None:
    report = await cache.run(reporting, sends=2_000)
    assert broken(report) == []


async def test_a_move_made_through_one_gateway_is_followed_by_the_others(fleet: Fleet) -> None:
    resident = fleet.residents[0]
    for gateway in range(len(fleet.gateways)):
        assert (await fleet.send(resident, gateway=gateway)).attempts == 1
    other = next(url for url in fleet.demo.instances if url != resident.instance_url)
    await fleet.start_elsewhere([resident], other)
    first = await fleet.send(resident, gateway=0)
    assert (first.status, first.document["failover"], first.attempts) == (200, True, 2)
    for gateway in range(len(fleet.gateways)):
        then = await fleet.send(resident, gateway=gateway)
        assert (then.status, then.document["instance_url"], then.attempts) == (200, other, 1)
