"""A real gateway over model instances that send so many messages a second, and clients that do not wait for answers."""

import asyncio
import gc
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from bench.fleet import SEND, free_ports
from bench.model_fleet import REPOSITORY, account_uuid, listening, populate, settings_for
from bench.model_instances import Layout
from homing.compose import open_stores
from homing.demo import processes
from homing.drivers.http.wire import Wire, WireLimits
from homing.model.directory.access import Scope
from homing.model.sends.faults import Fault
from homing.serve.callers.keyring import new_key
from homing.world import SystemClock, SystemEntropy


@dataclass(frozen=True, slots=True)
class Answer:
    """One send as its client met it. `code` is that of the problem, empty if there was none."""

    session: int
    at_s: float
    took_s: float
    status: int
    code: str
    was_let_in: bool


@dataclass(slots=True)
class SendingFleet:
    """The gateway, its instances, and all answers so far."""

    layout: Layout
    gateway: str
    token: str
    wire: Wire
    tokens: list[str] = field(default_factory=list)
    """Those of more keys, which may change things; each has streams of its own."""
    answers: list[Answer] = field(default_factory=list)
    _sends: set[asyncio.Task[None]] = field(default_factory=set)

    async def send(self, session: int) -> None:
        body = {
            "workspace_id": self.layout.workspace(session),
            "account_uuid": account_uuid(session),
            "phone": "+62811801641",
            "message": "hello",
        }
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        began_s = time.monotonic()
        raw = json.dumps(body).encode()
        reply = await self.wire.call("POST", self.gateway, SEND, body=raw, headers=headers, timeout_s=60)
        ended_s = time.monotonic()
        assert not isinstance(reply, Fault), reply
        told = json.loads(reply.body)
        was_let_in = "attempts" in told
        self.answers.append(Answer(session, ended_s, ended_s - began_s, reply.status, told.get("code", ""), was_let_in))

    async def offer(self, per_s: float, for_s: float, whose: Callable[[int], int]) -> None:
        """Begin so many sends a second, whatever becomes of them; the nth is one of `whose(n)`."""
        began_s = time.monotonic()
        for number in count():
            due_s = number / per_s
            if due_s >= for_s:
                return
            await asyncio.sleep(max(0.0, began_s + due_s - time.monotonic()))
            send = asyncio.create_task(self.send(whose(number)))
            self._sends.add(send)
            send.add_done_callback(self._sends.discard)

    async def answered(self) -> None:
        """Until every send was answered."""
        if self._sends:
            await asyncio.wait(self._sends)

    async def ail(self, *, hanging: Iterable[int] = (), starting: Iterable[int] = ()) -> None:
        """Let the sends of these hang, and these not come up; all others are well again."""
        control = f"http://localhost:{self.layout.first_port + self.layout.instances}"
        raw = json.dumps({"hanging": list(hanging), "starting": list(starting)}).encode()
        reply = await self.wire.call("POST", control, "/ail", body=raw, timeout_s=5)
        assert not isinstance(reply, Fault), reply


@asynccontextmanager
async def open_sending_fleet(
    url: str,
    *,
    instances: int,
    sessions: int,
    workspaces: int,
    sends_per_s: float,
    warmed: int | None = None,
    keys: int = 0,
) -> AsyncIterator[SendingFleet]:
    """One gateway; `sends_per_s` is what all instances can send together. So many sessions have sent before it begins,
    or all; with so many keys more."""
    first = free_ports(instances + 2)
    layout = Layout(first, instances, sessions, 0, workspaces)
    gateway = f"http://localhost:{first + instances + 1}"
    wire = Wire(WireLimits(connections=10_000, waiting=100_000, connect_timeout_s=60))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(wire.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="homing-bench-")))
        children: list[processes.Child] = []
        stack.push_async_callback(processes.end, children)
        await populate(url, layout)
        token = await _token(url, Scope.SEND)
        tokens = [await _token(url, Scope.ADMIN) for _ in range(keys)]
        children.append(_instances(layout, sends_per_s / instances, folder))
        await listening(children[0])
        children.append(_gateway(url, gateway, folder))
        await _ready(wire, gateway)
        fleet = SendingFleet(layout, gateway, token, wire, tokens)
        for session in range(sessions if warmed is None else warmed):
            await fleet.send(session)
        assert all(each.status == 200 for each in fleet.answers), fleet.answers
        gc.freeze()
        gc.disable()  # the clients' own pauses would be taken for the gateway's
        try:
            yield fleet
        finally:
            gc.enable()


async def _token(url: str, scope: Scope) -> str:
    """That of an operator."""
    key, token = new_key(SystemEntropy(), SystemClock(), workspace=None, scope=scope, name="bench")
    async with open_stores(settings_for(url)) as stores:
        await stores.directory.add_key(key)
    return token


def _instances(layout: Layout, per_s: float, folder: Path) -> processes.Child:
    numbers = (layout.first_port, layout.instances, layout.sessions, layout.workspaces, round(per_s))
    settings = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY}/src"}
    options = [str(number) for number in numbers]
    name = "Sending instances"
    return processes.start(name, "bench.sending_instances", options, folder=folder, logs=folder, settings=settings)


def _gateway(url: str, address: str, folder: Path) -> processes.Child:
    settings = {
        "HOMING_PORT": address.rpartition(":")[2],
        "HOMING_DATABASE_URL": url,
        "HOMING_LOG_FORMAT": "json",
        "HOMING_LOG_LEVEL": "error",
        "HOMING_SYNC_SCHEDULE": "",
        "HOMING_CONNECTIONS_PER_ADDRESS": "0",
        "WHATSAPP_API_KEY": "key",
    }
    return processes.start("Gateway", "homing.cli", ["serve"], folder=folder, logs=folder, settings=settings)


async def _ready(wire: Wire, gateway: str) -> None:
    async with asyncio.timeout(60):
        while True:
            reply = await wire.call("GET", gateway, "/ready", timeout_s=2)
            if not isinstance(reply, Fault) and reply.status == 200:
                return
            await asyncio.sleep(0.1)
