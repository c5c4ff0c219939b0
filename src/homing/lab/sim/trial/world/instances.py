"""An instance of ours as a process of the simulation: its real host, lease, vault and notifier, without sockets."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from homing.decide.fleet.leases import LeasePolicy
from homing.drivers.http.connection import Reply
from homing.instance.api.answers import ApiAnswer
from homing.instance.api.http import AnsweredEarly, Surface
from homing.instance.engines.simulated import SimulatedEngine
from homing.instance.host import SessionHost
from homing.instance.lease import LeaseKeeper
from homing.instance.notify.journal import Journal
from homing.instance.notify.notifications import Notification
from homing.instance.notify.notifier import Notifier
from homing.instance.notify.retries import NotifyAnswer
from homing.lab.sim.trial.world.network import SimulatedNetwork, SimulatedRequest
from homing.lab.sim.trial.world.processes import Process
from homing.lab.sim.trial.world.stores import Reached, Store
from homing.lab.sim.trial.world.whatsapp import SimulatedExchange
from homing.lab.sim.world import VirtualClock
from homing.model.sends.faults import Fault
from homing.ports import StoreUnavailable
from homing.store.grants.leases import SqlLeases
from homing.store.vault.sealing import KeyRing
from homing.store.vault.vault import SqlVault

API_KEY = "the instances' key"
HMAC_SECRET = "the instances' secret"  # noqa: S105 - of a simulation
LEASE_WITHIN_S = 2.0
RESTORE_AGAIN_S = 1.0
ASK_GATEWAY_WITHIN_S = 10.0


class KeptNotes:
    """The journal of one instance, as it is on its disk: it outlives the process."""

    def __init__(self) -> None:
        self._pending: dict[str, Notification] = {}

    def pending(self) -> list[Notification]:
        return list(self._pending.values())

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, note: Notification) -> bool:
        return self._pending.setdefault(note.id, note) is note

    async def durable(self) -> None:
        return

    def finish(self, note: Notification) -> None:
        self._pending.pop(note.id, None)

    async def close(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class Around:
    """What an instance finds in its world. `gateway` is the address that it reports to."""

    network: SimulatedNetwork
    store: Store
    keys: KeyRing
    whatsapp: SimulatedExchange
    gateway: Callable[[], str]
    lease: LeasePolicy


class SimulatedInstance:
    """One address, and the boots that live there one after the other."""

    def __init__(self, url: str, around: Around, chance: random.Random, clock: VirtualClock) -> None:
        self.url, self.clock = url, clock
        self._around, self._chance = around, chance
        self.notes = KeptNotes()
        self.process: Process | None = None
        self.host: SessionHost | None = None

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.lives

    def boot(self) -> None:
        """Begin a new process at this address."""
        assert not self.lives
        self.process = Process(self.url, self._around.network.loop)
        self.process.main = self.process.spawn(self._run(self.process))

    async def _run(self, process: Process) -> None:
        around = self._around
        database = Reached(around.store, self.url)
        vault = SqlVault(database, around.keys)
        lease = LeaseKeeper(
            SqlLeases(database), self.url, self.clock, fresh_id=lambda: f"{self._chance.getrandbits(64):016x}",
            policy=around.lease,
        )  # fmt: skip
        notifier = Notifier(
            self._notify,
            cast("Journal", self.notes),
            secret=HMAC_SECRET,
            instance_url=self.url,
            clock=lambda: self.clock.now().timestamp(),
            random=self._chance,
        )
        self.host = host = SessionHost(
            SimulatedEngine(around.whatsapp.dial(process, self.url), lambda: self.clock.now().timestamp()),
            vault,
            lease,
            clock=self.clock,
            random=self._chance,
            on_event=notifier.tell,
        )
        surface = Surface(host, API_KEY, started_at=host.now(), memory=_memory)
        lease.answered_ago_s = surface.answered_ago_s
        notifier.start()
        leasing = asyncio.get_running_loop().create_task(lease.run(host))
        try:
            async with asyncio.timeout(LEASE_WITHIN_S):
                await lease.trusted()
        except TimeoutError:
            pass  # it listens all the same, and says that it is paused
        around.network.listen(self.url, process, Served(surface))
        await self._restore(host)
        await leasing

    async def _restore(self, host: SessionHost) -> None:
        while True:
            try:
                await host.restore()
                break
            except StoreUnavailable:
                await asyncio.sleep(RESTORE_AGAIN_S)
        try:
            await host.adopt(await self._placed_here())
        except (OSError, StoreUnavailable):
            return

    # The gateway

    async def _notify(self, body: bytes, headers: Mapping[str, str]) -> NotifyAnswer:
        lower = {name.lower(): value for name, value in headers.items()}
        reply = await self._ask(SimulatedRequest("POST", "/api/whatsapp/webhooks/webjs", lower, body), 30.0)
        return NotifyAnswer(reply.status, reply.headers.get("retry-after"), reply.headers.get("x-timestamp"))

    async def _placed_here(self) -> dict[str, int | None]:
        headers = {"x-api-key": API_KEY, "x-instance-url": self.url}
        reply = await self._ask(
            SimulatedRequest("GET", "/api/whatsapp/accounts/active", headers, b""), ASK_GATEWAY_WITHIN_S
        )
        if reply.status != 200:
            raise ConnectionError(f"the gateway answered {reply.status}")
        return {each["session_id"]: each["workspace_id"] for each in msgspec.json.decode(reply.body)["sessions"]}

    async def _ask(self, request: SimulatedRequest, timeout_s: float) -> Reply:
        reply = await self._around.network.ask(self.url, self._around.gateway(), request, timeout_s=timeout_s)
        if isinstance(reply, Fault):
            raise ConnectionError(str(reply))
        return reply


class Served:
    """The surface of an instance, asked without HTTP in between: the same handlers, the same answers."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._plain: dict[tuple[str, str], Callable[[Any], Awaitable[ApiAnswer]]] = {
            ("GET", "/health"): surface.health,
            ("GET", "/api/sessions"): surface.list_sessions,
            ("POST", "/api/sessions"): surface.start_session,
            ("POST", "/api/sessions/batch"): surface.start_sessions,
            ("POST", "/api/messages/send"): surface.send,
        }
        self._of_session: dict[tuple[str, str], Callable[[Any], Awaitable[ApiAnswer]]] = {
            ("GET", "status"): surface.session_status,
            ("DELETE", ""): surface.stop_session,
            ("POST", "reconnect"): surface.restart_session,
            ("POST", "regenerate-qr"): surface.renew_code,
            ("POST", "logout"): surface.logout_session,
        }

    async def __call__(self, request: SimulatedRequest) -> Reply:
        path, _, query = request.path.partition("?")
        handler, match = self._found(request.method, path)
        asked = SimpleNamespace(
            query=dict(parse_qsl(query)) if query else {},
            match_info=match,
            headers=_Headers(request.headers),
            read=lambda: _whole(request.body),
        )
        answer = await self._answer(handler, asked)
        self._surface.note_answered(request.headers.get("user-agent"))
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status, headers, msgspec.json.encode(answer.body))

    async def _answer(self, handler: Callable[[Any], Awaitable[ApiAnswer]], asked: Any) -> ApiAnswer:
        try:
            return await handler(cast("web.Request", asked))
        except AnsweredEarly as refused:
            return refused.answer
        except StoreUnavailable:
            return ApiAnswer({"error": "Credentials vault unavailable"}, 503, {"Retry-After": "1"})

    def _found(self, method: str, path: str) -> tuple[Callable[[Any], Awaitable[ApiAnswer]], dict[str, str]]:
        plain = self._plain.get((method, path))
        if plain is not None:
            return plain, {}
        session, _, rest = path.removeprefix("/api/sessions/").partition("/")
        return self._of_session.get((method, rest), _no_endpoint), {"id": session}


def _memory() -> Mapping[str, Any]:
    """That of the simulation is not the instance's, and is another one in each run."""
    return {"used": 100, "total": 100, "unit": "MB"}


class _Headers:
    """Header names in any case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def get(self, name: str) -> str | None:
        return self._headers.get(name.lower())


async def _whole(body: bytes) -> bytes:
    return body


async def _no_endpoint(_: Any) -> ApiAnswer:
    return ApiAnswer({"error": "Endpoint not found"}, 404)
