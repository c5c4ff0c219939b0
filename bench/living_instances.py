"""Very many instances in one process, which hold leases and take sessions from the vault, as ours do; and fall silent.

`HOMING_VAULT_KEY=… python -m bench.living_instances DATABASE FIRST_PORT INSTANCES SESSIONS` takes up the sessions that
the directory places on each and prints `{"pid", …}` once all listen. At the port behind the last instance's,
`POST /silence {"instances": [numbers]}` takes them from the world at once: no heartbeat, no answer, to anybody.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bench.model_instances import Layout, session_id
from homing.decide.fleet.leases import LeasePolicy
from homing.model.instances.vault import Grant, Holder
from homing.ports import StoreUnavailable
from homing.store.grants.leases import SqlLeases
from homing.store.vault.opening import open_vault
from homing.store.vault.vault import SqlVault

OURS = dict.fromkeys(("choose_message_id", "stop_keeps_login", "share_credentials", "honour_epoch"), True)
OURS |= {"report_location": True, "hold_lease": True}
LOGIN_S = 0.2
LEASE = LeasePolicy()

Handler = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]


@dataclass(slots=True)
class Living:
    """One instance. `logins` are the times at which sessions were begun on it, all of a batch at its arrival."""

    holder: Holder
    vault: SqlVault
    leases: SqlLeases
    epochs: dict[str, int] = field(default_factory=dict)
    logins: list[float] = field(default_factory=list)
    silent: bool = False
    sent: int = 0

    async def take_up(self, sessions: list[str], epoch: int) -> None:
        await self.leases.begin(self.holder, expiry_s=LEASE.expiry_s)
        await self._open(dict.fromkeys(sessions, epoch))

    async def beat(self) -> None:
        """Renew the lease until silenced."""
        pause_s = LEASE.heartbeat_s
        while True:
            await asyncio.sleep(pause_s)
            if self.silent:
                return
            try:
                await self.leases.renew(self.holder, expiry_s=LEASE.expiry_s, answered_ago_s=0.0)
                pause_s = LEASE.heartbeat_s
            except StoreUnavailable as error:
                pause_s = LEASE.repeat_s
                print(f"{self.holder.instance_url} could not renew: {error}", file=sys.stderr)

    async def start(self, wanted: dict[str, int]) -> list[dict[str, Any]]:
        self.logins += [time.time()] * len(wanted)
        await self._open(wanted)
        await asyncio.sleep(LOGIN_S)
        return [self.row(session) | {"success": session in self.epochs} for session in wanted]

    async def _open(self, wanted: dict[str, int]) -> None:
        opened = await self.vault.open_many(dict(wanted), holder=self.holder)
        self.epochs |= {session: each.epoch for session, each in opened.items() if isinstance(each, Grant)}

    def row(self, session: str) -> dict[str, Any]:
        epoch = self.epochs.get(session)
        status = "connected" if epoch is not None else "error"
        return {"session_id": session, "workspace_id": 1, "status": status, "epoch": epoch}

    def health(self) -> dict[str, Any]:
        return {
            "status": "healthy",
            "sessions": {"total": len(self.epochs), "connected": len(self.epochs), "disconnected": 0},
            "engine": "model",
            "version": "1",
            "incarnation": self.holder.incarnation,
            "capabilities": OURS,
            "lease": {"state": "held", "left_s": 4.0},
            "sends_per_s": 0.0,
        }


class Fleet:
    """All of them, behind one application that listens at many ports."""

    def __init__(self, layout: Layout, instances: list[Living]) -> None:
        self._layout, self._instances = layout, instances

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/health", self._of(lambda it, _: _json(it.health())))
        app.router.add_get("/api/sessions", self._of(_list))
        app.router.add_post("/api/sessions/batch", self._of(_start))
        app.router.add_post("/api/messages/send", self._of(_send))
        app.router.add_post("/silence", self._silence)
        app.router.add_get("/logins", self._logins)
        return app

    def _of(self, answer: Callable[[Living, web.Request], Coroutine[Any, Any, web.StreamResponse]]) -> Handler:
        async def respond(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            instance = self._instances[request.transport.get_extra_info("sockname")[1] - self._layout.first_port]
            if instance.silent:
                await asyncio.sleep(3600)
            return await answer(instance, request)

        return respond

    async def _silence(self, request: web.Request) -> web.StreamResponse:
        for number in (await request.json())["instances"]:
            self._instances[number].silent = True
        return await _json({"at": time.time()})

    async def _logins(self, _: web.Request) -> web.StreamResponse:
        return await _json({each.holder.instance_url: each.logins for each in self._instances})


async def _json(document: object) -> web.StreamResponse:
    return web.json_response(document)


async def _list(instance: Living, _: web.Request) -> web.StreamResponse:
    rows = [instance.row(session) for session in instance.epochs]
    return await _json({"success": True, "sessions": rows, "total": len(rows)})


async def _start(instance: Living, request: web.Request) -> web.StreamResponse:
    asked = (await request.json())["sessions"]
    rows = await instance.start({each["session_id"]: each["epoch"] for each in asked})
    return await _json({"success": True, "sessions": rows})


async def _send(instance: Living, request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    epoch = instance.epochs.get(asked["session_id"])
    if epoch is None:
        return web.json_response({"error": "Session not found"}, status=404)
    instance.sent += 1
    return await _json({"success": True, "message_id": asked["message_id"], "timestamp": int(time.time())})


async def _serve(url: str, layout: Layout) -> None:
    key = os.environ["HOMING_VAULT_KEY"]
    # Heartbeats have connections of their own: a hundred processes would not wait for each other's logins either.
    async with open_vault(url, key=key) as (vault, *_), open_vault(url, key=key) as (_, leases, _):
        await vault.adopt({session_id(number): {"linked": number} for number in range(layout.sessions)})
        instances = [Living(Holder(at, f"boot of {at}"), vault, leases) for at in layout.urls]
        held = [list(map(session_id, numbers)) for numbers in layout.held_by()]
        for instance, sessions in zip(instances, held, strict=True):
            await instance.take_up(sessions, 1)
        runner = web.AppRunner(Fleet(layout, instances).application(), access_log=None)
        await runner.setup()
        for port in range(layout.first_port, layout.first_port + layout.instances + 1):
            await web.TCPSite(runner, "127.0.0.1", port, backlog=256).start()
        beats = [asyncio.create_task(instance.beat()) for instance in instances]
        print(json.dumps({"pid": os.getpid(), "instances": layout.instances}), flush=True)
        await asyncio.gather(*beats)
        await asyncio.Event().wait()


def main() -> None:
    import uvloop

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    url, *numbers = sys.argv[1:]
    first_port, instances, sessions = map(int, numbers)
    uvloop.run(_serve(url, Layout(first_port, instances, sessions, 0)))


if __name__ == "__main__":
    main()
