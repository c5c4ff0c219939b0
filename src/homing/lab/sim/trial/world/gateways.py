"""A gateway as a process of the simulation: all that `homing serve` wires together, without its sockets."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping

import msgspec

from homing import compose
from homing.compose import Gateway
from homing.config import Settings
from homing.drivers.http.connection import Reply
from homing.drivers.http.wire import MIB, StreamedBody
from homing.flows.outbox.bulk import BulkWish
from homing.lab.sim.trial.world.network import SimulatedNetwork, SimulatedRequest
from homing.lab.sim.trial.world.processes import Process
from homing.lab.sim.trial.world.stores import Carrier, Reached, Store
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.errors import Code, Problem
from homing.model.fleet import WorkspaceId
from homing.model.instances.health import GATEWAY_AGENT
from homing.model.sends.faults import Fault
from homing.model.sends.outbox import BatchState
from homing.ports import StoreUnavailable
from homing.ports.deliveries.receivers import WaysOut
from homing.serve.api.batches import batch_view
from homing.serve.bulk_lines import Bulkhead, ndjson
from homing.serve.http import problems
from homing.serve.intake import Asked
from homing.serve.metrics import Metrics

START_AGAIN_S = 0.5
WORKSPACE = WorkspaceId(1)
_ACTIONS = {"pause": BatchState.PAUSED, "resume": BatchState.RUNNING, "cancel": BatchState.CANCELLED}


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
        lower = {"user-agent": GATEWAY_AGENT, **{name.lower(): value for name, value in (headers or {}).items()}}
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
        ways: WaysOut,
    ) -> None:
        self.name, self.clock, self._ways = name, clock, ways
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
            made = (self._settings, stores, drivers, metrics, self.clock, entropy, self._ways)
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
            match path.removeprefix("/api/v1/").split("/"):
                case ["messages", "bulk"]:
                    return await self._batch(request)
                case ["batches", batch, action]:
                    return await self._changed(batch, action)
                case ["messages", uuid, "cancel"]:
                    return await self._cancelled(uuid)
                case _:
                    return await self._reported(path, request)
        except StoreUnavailable as error:
            return Reply(503, {}, str(error).encode())
        except Problem as problem:
            told = problems.document(problem, success=False)
            headers = {name.lower(): value for name, value in problems.headers(problem).items()}
            return Reply(told["status"], headers, msgspec.json.encode(told))

    async def _batch(self, request: SimulatedRequest) -> Reply:
        gateway = self._gateway
        await gateway.sends.may_send(request.headers.get("authorization"))
        age_s, key = gateway.settings.homing_outbox_max_age, request.headers.get("idempotency-key")
        wish = BulkWish(WORKSPACE, "", key, None, all_or_nothing=False, after_s=0.0, max_age_s=age_s)

        async def chunks() -> AsyncIterator[bytes]:
            yield request.body

        head = Bulkhead(WORKSPACE, None, None, (), gateway.workspaces, gateway.media.links)
        made = await gateway.sends.bulk.take(wish, ndjson(chunks(), head))
        return Reply(202, {}, msgspec.json.encode(batch_view(made)))

    async def _changed(self, batch: str, action: str) -> Reply:
        if not await self._gateway.stores.outbox.change_batch(WORKSPACE, batch, _ACTIONS[action], action):
            raise Problem(Code.BATCH_NOT_SO, f"Batch {batch} cannot be changed so")
        return Reply(200, {}, b"{}")

    async def _cancelled(self, uuid: str) -> Reply:
        if not await self._gateway.stores.outbox.cancel(WORKSPACE, uuid):
            raise Problem(Code.ALREADY_LEFT, f"Message {uuid} cannot be taken back")
        return Reply(200, {}, b"{}")

    async def _reported(self, path: str, request: SimulatedRequest) -> Reply:
        async def body() -> bytes:
            return request.body

        asked = Asked(body, headers=request.headers)
        if path == "/api/whatsapp/webhooks/webjs":
            said = await self._gateway.intake.webhook(asked)
        else:
            said = await self._gateway.intake.active_sessions(asked)
        return Reply(200, {}, msgspec.json.encode(said))
