"""A gateway as a process of the simulation: all that `homing serve` wires together, without its sockets."""

import asyncio
import random
from collections.abc import Mapping

import msgspec

from homing import compose
from homing.compose import Gateway
from homing.config import Settings
from homing.drivers.http.connection import Reply
from homing.drivers.http.wire import MIB, StreamedBody
from homing.lab.sim.egress import simulated_ways
from homing.lab.sim.trial.world.network import SimulatedNetwork, SimulatedRequest
from homing.lab.sim.trial.world.processes import Process
from homing.lab.sim.trial.world.stores import Carrier, Reached, Store
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.errors import Problem
from homing.model.sends.faults import Fault
from homing.ports import StoreUnavailable
from homing.serve.http import problems
from homing.serve.intake import Asked
from homing.serve.metrics import Metrics

START_AGAIN_S = 0.5


class SimulatedCalls:
    """`drivers.wire.Calls` over the simulated network."""

    def __init__(self, network: SimulatedNetwork, place: str) -> None:
        self._network, self._place = network, place

    async def call(
        self,
        method: str,
        base_url: str,
        path: str,
        *,
        body: bytes | StreamedBody | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        body_limit_bytes: int = MIB,  # noqa: ARG002 - nobody answers more here
    ) -> Reply | Fault:
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        whole = b"".join([each async for each in body.pieces()]) if isinstance(body, StreamedBody) else body or b""
        request = SimulatedRequest(method, path, lower, whole)
        return await self._network.ask(self._place, base_url, request, timeout_s=timeout_s)


class SimulatedGateway:
    """One address, and the boots that live there one after the other."""

    def __init__(
        self,
        name: str,
        network: SimulatedNetwork,
        store: Store,
        settings: Settings,
        chance: random.Random,
        clock: VirtualClock,
    ) -> None:
        self.name, self.clock = name, clock
        self._network, self._store, self._settings, self._chance = network, store, settings, chance
        self.process: Process | None = None
        self.gateway: Gateway | None = None

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.lives

    def boot(self) -> None:
        """Begin a new process at this address."""
        assert not self.lives
        self.gateway = None
        self.process = Process(self.name, self._network.loop)
        self.process.main = self.process.spawn(self._run(self.process))

    async def _run(self, process: Process) -> None:
        while True:
            try:
                await self._serve(process)
            except StoreUnavailable:
                await asyncio.sleep(START_AGAIN_S)

    async def _serve(self, process: Process) -> None:
        metrics = Metrics()
        carrier = Carrier(self._store, process, self.name)
        try:
            stores = compose.stores_on(Reached(self._store, self.name), carrier, self.clock, on_read=metrics.read)
            drivers = compose.drivers_of(self._settings, SimulatedCalls(self._network, self.name), metrics)
            entropy = SeededEntropy(self._chance.getrandbits(32), self.clock)
            made = (self._settings, stores, drivers, metrics, self.clock, entropy, simulated_ways())
            running = compose.gateway_on(*made, alone=False)
            async with running as self.gateway:
                self._network.listen(self.name, process, Answering(self.gateway))
                await asyncio.get_running_loop().create_future()
        finally:
            await carrier.close()


class Answering:
    """The paths of a gateway that clients and instances use, asked without HTTP in between."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, request: SimulatedRequest) -> Reply:
        path, _, _ = request.path.partition("?")
        if path == "/api/v1/messages/send":
            headers = request.headers
            answer = await self._gateway.sends.answer(
                request.body, headers.get("authorization"), headers.get("idempotency-key")
            )
            return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body)
        try:
            return await self._reported(path, request)
        except Problem as problem:
            told = problems.document(problem, success=False)
            headers = {name.lower(): value for name, value in problems.headers(problem).items()}
            return Reply(told["status"], headers, msgspec.json.encode(told))

    async def _reported(self, path: str, request: SimulatedRequest) -> Reply:
        async def body() -> bytes:
            return request.body

        asked = Asked(body, headers=request.headers)
        if path == "/api/whatsapp/webhooks/webjs":
            said = await self._gateway.intake.webhook(asked)
        else:
            said = await self._gateway.intake.active_sessions(asked)
        return Reply(200, {}, msgspec.json.encode(said))
