"""Faults while batches are sent: one that does not heal in time ends neither the others nor the verdict."""

from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from homing.demo.plan import Unworkable
from homing.lab.chaos import batches, facts
from homing.lab.chaos.faults.kinds import KINDS
from homing.lab.chaos.results import Results

pytestmark = pytest.mark.virtual


async def struck(monkeypatch: pytest.MonkeyPatch, amiss: str | None) -> Results:
    """Three faults, of which the first is not healed in the time that a start has; then the load is over."""
    load, times = batches.BatchLoad(SimpleNamespace(), 1), []  # type: ignore[arg-type]
    results = Results("a fleet", 1)

    async def heals(*_: Any) -> None:
        times.append(1)
        if len(times) == 3:
            load.over.set()
        if len(times) == 1:
            raise Unworkable("Instance 4 did not listen within 30 s")

    async def nothing(*_: Any) -> None: ...

    async def until_whole(*_: Any) -> str | None:
        return amiss

    monkeypatch.setattr(facts, "until_whole", until_whole)
    kind = replace(KINDS["kill"], inflict=nothing, heal=heals, afterwards=nothing)
    stage: Any = SimpleNamespace(chance=Random(1), instances=["http://a"], gateways=["http://g"])
    await batches._strike(stage, [kind], load, results, lambda _: None)
    return results


async def test_a_fault_that_heals_late_is_one_of_them_and_the_next_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    results = await struck(monkeypatch, None)
    assert (results.repeats, results.broke_off) == (3, [])


async def test_a_fleet_that_does_not_become_whole_is_not_struck_again(monkeypatch: pytest.MonkeyPatch) -> None:
    results = await struck(monkeypatch, "an instance is down")
    assert results.repeats == 0
    assert "Instance 4 did not listen" in results.broke_off[0]
