"""Instances are started anew one after the other while people send, in virtual time: where sessions can be handed over
nobody sees an error and nothing is said twice; elsewhere exactly those are away that were announced."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from vault_fleet import Fleet, Traffic, fleet, running
from worlds import PLAIN, A, B, C

from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.moves.move_jobs import KIND
from homing.flows.recycling.recycling import Recycling, Supervisor
from homing.model.deliveries.egress import CallAnswer
from homing.model.fleet import InstanceState, InstanceUrl, Takeover
from homing.model.instances.recycling import RecycleState
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Sent
from homing.model.work import Tick
from homing.ports import AccountChanges
from homing.store.records.recycles import SqlRecycles

pytestmark = pytest.mark.virtual

D = InstanceUrl("http://d:3001")
TICK = Tick("recycling", datetime(2026, 1, 1, tzinfo=UTC), 1, False, "")
AWAY_S = 3.0


@dataclass
class Supervising:
    """Starts a process anew when it is told that it can be; nothing answers for as long."""

    it: Fleet
    told: list[dict[str, Any]] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    away: list[tuple[float, float]] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def post(self, _: str, body: bytes, headers: dict[str, str], **__: Any) -> CallAnswer:
        assert headers["webhook-signature"].startswith("v1,")
        data = json.loads(body)["data"]
        self.told.append(data)
        self.held.append(len(self.it.made.world.instances[data["instance_url"]].sessions))
        self.tasks.append(asyncio.create_task(self._anew(InstanceUrl(data["instance_url"]))))
        return CallAnswer(202)

    async def _anew(self, url: InstanceUrl) -> None:
        clock, model = self.it.made.clock, self.it.made.world.instances[url]
        began_s, model.down = clock.monotonic(), Fault(Phase.REFUSED)
        await clock.sleep(AWAY_S)
        model.down = None
        self.away.append((began_s, clock.monotonic()))


def keep_where_they_are(it: Fleet) -> None:
    """A family that shares no logins."""
    for model in it.made.world.instances.values():
        model.can = PLAIN


async def recycled(it: Fleet, supervising: Supervising, *urls: InstanceUrl, with_gap: bool = False) -> Recycling:
    """All of them are over."""
    alerts, supervisor = AlertBook(Unkept(), it.made.clock), Supervisor("http://supervisor:9000", b"s" * 32)
    store = SqlRecycles(it.made.directory._database)
    given = (store, it.drains, it.made.world, supervising, alerts, it.made.clock, supervisor)
    recycling = Recycling(*given)  # type: ignore[arg-type]
    for url in urls:
        await recycling.ask(url, "it leaks", with_gap=with_gap)
    async with asyncio.timeout(300.0):
        while await store.open():
            await recycling.tick(TICK)
            draining = [each for each in await it.made.directory.instances() if each.state is InstanceState.DRAINING]
            assert len(draining) <= 1, "one after the other"
            await it.made.clock.sleep(0.5)
    return recycling


async def test_four_instances_with_a_hundred_sessions_are_started_anew_and_no_message_fails() -> None:
    async with fleet(A, B, C, D) as it, running(it.gateway("g1")):
        accounts = [account for url in (A, B, C, D) for account in await it.accounts(25, url)]
        traffic, supervising = Traffic(it.made, accounts, every_s=1.0), Supervising(it)
        talking = asyncio.create_task(traffic.run(60.0))
        recycling = await recycled(it, supervising, A, B, C, D)
        assert it.made.clock.monotonic() < 60.0, "all under load"
        await talking
        traffic.check()
        assert traffic.slowest_s() <= 1.0
        assert [each["instance_url"] for each in supervising.told] == [A, B, C, D]
        assert [each["sessions_left"] for each in supervising.told] == [0, 0, 0, 0]
        assert supervising.held == [0, 0, 0, 0], "nothing lived there when its process ended"
        assert {each.state for each in await recycling.newest(10)} == {RecycleState.DONE}


async def test_where_sessions_cannot_leave_exactly_the_announced_ones_are_away() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")):
        there, elsewhere = await it.accounts(5, A), await it.accounts(5, B)
        for account in there:
            await it.made.directory.change_account(account, AccountChanges(takeover=Takeover.NEVER))
        away, others = Traffic(it.made, there, every_s=0.5), Traffic(it.made, elsewhere, every_s=0.5)
        supervising = Supervising(it)
        talking = asyncio.gather(away.run(30.0), others.run(30.0))
        await recycled(it, supervising, A, with_gap=True)
        await talking
        assert [each["sessions_left"] for each in supervising.told] == [5]
        [(began_s, ended_s)] = supervising.away
        assert ended_s - began_s == pytest.approx(AWAY_S)
        assert all(isinstance(outcome, Sent) for outcome, _ in others.outcomes)
        assert others.slowest_s() <= 1.0
        late = [took_s for outcome, took_s in away.outcomes if took_s > 0.5 or not isinstance(outcome, Sent)]
        assert 5 <= len(late) <= 5 * (AWAY_S / 0.5 + 1), "those of the five, and while its process was away"
        sent = [outcome for outcome, _ in [*away.outcomes, *others.outcomes] if isinstance(outcome, Sent)]
        assert len(it.made.world.ledger) == len(sent), "nothing is said twice"


async def test_without_that_word_an_instance_whose_sessions_cannot_leave_runs_on() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")):
        keep_where_they_are(it)
        await it.accounts(2, A)
        supervising = Supervising(it)
        recycling = await recycled(it, supervising, A)
        [over] = await recycling.newest(10)
        assert over.state is RecycleState.FAILED
        assert "2 sessions cannot leave it" in over.result
        assert supervising.told == []
        assert {each.state for each in await it.made.directory.instances()} == {InstanceState.ACTIVE}


async def test_while_its_process_is_away_nobody_wishes_its_sessions_elsewhere() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")):
        keep_where_they_are(it)
        there = await it.accounts(5, A)
        supervising, wished = Supervising(it), 0
        drains = asyncio.create_task(it.drains.run())
        going = asyncio.create_task(recycled(it, supervising, A, with_gap=True))
        while not going.done():
            wished += len(await it.made.work.open_of(KIND, [each.session_id for each in there]))
            await it.made.clock.sleep(0.5)
        [over] = await going.result().newest(10)
        drains.cancel()
        assert (over.state, over.stayed) == (RecycleState.DONE, 5)
        assert wished == 0
        placed = [await it.made.directory.account(each.workspace_id, uuid=each.uuid) for each in there]
        assert {each.placement.instance_url for each in placed if each} == {A}
