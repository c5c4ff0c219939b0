"""Somebody else's gateway as a process of the simulation: a WAHA, with ids of its own and without epochs, leases or a
fence. It is the model of `simulated_gateways`, its routes asked without HTTP in between."""

import random
import re
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from homing.drivers.http.connection import Reply
from homing.lab.sim.trial.world.network import SimulatedNetwork, SimulatedRequest
from homing.lab.sim.trial.world.processes import Process
from homing.lab.sim.trial.world.whatsapp import SimulatedExchange, unix_s
from homing.lab.sim.world import VirtualClock
from simulated_gateways.base import Model
from simulated_gateways.line import DeviceLine, Disk
from simulated_gateways.waha import Waha

FAMILY = "waha"
NO_EPOCH = -1
"""What WhatsApp sees in place of an epoch."""


class SimulatedForeign:
    """One address, and the boots that live there one after the other. Its disk outlives them."""

    def __init__(
        self,
        url: str,
        network: SimulatedNetwork,
        whatsapp: SimulatedExchange,
        chance: random.Random,
        clock: VirtualClock,
        *,
        key: str,
    ) -> None:
        self.url, self.clock, self.disk = url, clock, Disk()
        self._network, self._whatsapp, self._chance, self._key = network, whatsapp, chance, key
        self.process: Process | None = None
        self.model: Model | None = None

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.lives

    def boot(self) -> None:
        """Begin a new process at this address."""
        assert not self.lives
        self.process = Process(self.url, self._network.loop)
        self.process.main = self.process.spawn(self._run(self.process))

    async def _run(self, process: Process) -> None:
        self.model = model = Waha(
            key=self._key,
            fresh_id=lambda: f"{self._chance.getrandbits(80):020X}",
            clock=self.clock.monotonic,
        )
        dial = self._whatsapp.dial(process, self.url)
        line = DeviceLine(model, dial, self.disk, self.url, clock=lambda: unix_s(self._network))
        line.epoch = NO_EPOCH
        self._network.listen(self.url, process, ForeignRoutes(model))
        await line.run()

    def give_up(self, session: str) -> None:
        """Somebody stops the session here, and takes its login away."""
        self.disk.forget(session)
        if self.lives and self.model is not None and session in self.model.sessions:
            self.model.sessions[session].open = False

    def take(self, session: str, other: "SimulatedForeign") -> None:
        """Somebody brings the login from another one of these, and starts the session."""
        device = other.disk.devices.get(session)
        if device is None:
            return
        phone = other.disk.phones[session]
        other.give_up(session)
        self.disk.keep(session, phone, device)
        if self.lives and self.model is not None:
            self.model.add(session, paired=True, phone=phone)


class ForeignRoutes:
    """The model's routes."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._routes = [(route.method, _pattern(route.path), route.handler) for route in model.routes()]

    async def __call__(self, request: SimulatedRequest) -> Reply:
        path, _, query = request.path.partition("?")
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(path)
            if method == request.method and match is not None:
                asked = _request(request, path, query, match.groupdict())
                refused = self._model.refusal(asked)
                answer = refused if refused is not None else await _handled(handler, asked)
                return _reply(answer)
        return Reply(404, {"content-type": "application/json"}, b'{"statusCode":404,"message":"Cannot find it"}')


async def _handled(handler: Any, asked: web.Request) -> web.StreamResponse:
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = handler
    return await answer(asked)


def _request(request: SimulatedRequest, path: str, query: str, match: dict[str, str]) -> web.Request:
    async def told() -> Any:
        return msgspec.json.decode(request.body)

    asked = SimpleNamespace(
        path=path,
        path_qs=request.path,
        query=dict(parse_qsl(query, keep_blank_values=True)),
        match_info=match,
        headers=_AnyCase(request.headers),
        can_read_body=bool(request.body),
        json=told,
    )
    return cast("web.Request", asked)


def _reply(answer: web.StreamResponse) -> Reply:
    assert isinstance(answer, web.Response)
    body = answer.body if isinstance(answer.body, bytes) else b""
    return Reply(answer.status, {"content-type": answer.content_type}, body)


def _pattern(path: str) -> re.Pattern[str]:
    """`/api/{s}/{what:start|stop}` as aiohttp means it."""
    return re.compile(re.sub(r"\{(\w+)(?::([^}]+))?\}", lambda part: f"(?P<{part[1]}>{part[2] or '[^/]+'})", path))


class _AnyCase(dict[str, str]):
    """Header names in any case."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)
