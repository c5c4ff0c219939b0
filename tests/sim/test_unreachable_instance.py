"""An instance that gateways cannot reach, though it holds its lease, and others beside it can."""

import asyncio

import pytest

from homing.drivers.http.connection import Reply
from homing.lab.sim.trial.faults import Misfortune, MisfortuneKind
from homing.lab.sim.trial.judging.report import judged
from homing.lab.sim.trial.scenario import SCENARIOS
from homing.lab.sim.trial.trial import World, run
from homing.lab.sim.trial.world.network import SimulatedRequest

BRIEF = SCENARIOS["brief"]
CUT_OFF = BRIEF.instance_urls[0]
PROBED_EVERY_S = 0.5
FOR_EVER_S = 1e9


def test_a_probe_from_beside_an_instance_keeps_no_session_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = 0
    played = World.play

    async def probed(self: World, faults: tuple[Misfortune, ...]) -> None:
        probing = asyncio.get_running_loop().create_task(probe(self))
        await played(self, faults)
        probing.cancel()

    async def probe(world: World) -> None:
        nonlocal answered
        liveness = SimulatedRequest("GET", "/health", {"user-agent": "kube-probe/1.31"}, b"")
        while True:
            await asyncio.sleep(PROBED_EVERY_S)
            answered += isinstance(await world._network.ask("beside it", CUT_OFF, liveness, timeout_s=1.0), Reply)

    monkeypatch.setattr(World, "play", probed)
    cuts = [Misfortune(8.0, MisfortuneKind.CUT, gateway, CUT_OFF, for_s=FOR_EVER_S) for gateway in BRIEF.gateway_names]
    came = run(BRIEF, 1, cuts)
    assert came.broke is None
    assert judged(came).violations == ()
    placed = [each.facts for each in came.events if each.what == "placed"]
    assert placed
    assert [facts["session"] for facts in placed if facts["url"] == CUT_OFF] == []
    assert answered > 30, "it was well all the time"
