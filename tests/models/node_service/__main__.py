"""``python -m tests.models.node_service --host 127.0.0.2 --storage DIR``: the Node service's model as a process.

Like the service it reads PORT, LARAVEL_URL, API_KEY (or LARAVEL_API_TOKEN), HMAC_SECRET and SESSION_STORAGE_PATH from
its environment. It prints ``{"pid", "url", "control"}`` once it listens, and ends on SIGTERM or SIGINT.
"""

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.models.node_service import control
from tests.models.node_service.faults import Faults
from tests.models.node_service.http import Service, Settings
from tests.models.node_service.judge import Judge
from tests.models.node_service.logins import Logins
from tests.models.node_service.reports import Reports
from tests.models.node_service.restoring import restore
from tests.models.node_service.sessions import Pace, Sessions


def main() -> None:
    asyncio.run(_serve(_parser().parse_args()))


async def _serve(given: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    backend = given.backend.rstrip("/")
    judge = Judge(given.judge, f"{given.host}:{given.port}")
    pace = Pace(given.browser_takes, given.login_takes, given.ready_takes, given.qr_every, given.reconnects_after)
    async with aiohttp.ClientSession() as http:
        reports = Reports(backend, given.hmac_secret, given.port, http)
        sessions, faults = Sessions(pace, Logins(given.storage, judge), reports, judge), Faults()
        service = Service(Settings(given.api_key, backend, given.hang_kills_after), sessions, faults)
        own = await _listen(service.app(), given.host, given.port)
        other = await _listen(control.app(sessions, faults), "127.0.0.1", given.control_port)
        restoring = asyncio.create_task(restore(backend, given.api_key, sessions, http)) if backend else None
        address = f"http://{given.host}:{given.port}"
        controlled = f"http://127.0.0.1:{other.addresses[0][1]}"
        print(json.dumps({"pid": os.getpid(), "url": address, "control": controlled}), flush=True)
        await stopped.wait()
        if restoring is not None:
            restoring.cancel()
        await asyncio.gather(own.cleanup(), other.cleanup())


async def _listen(app: web.Application, host: str, port: int) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, host, port, reuse_address=True).start()
    return runner


def _parser() -> argparse.ArgumentParser:
    told = os.environ
    key = told.get("API_KEY") or told.get("LARAVEL_API_TOKEN", "")
    storage = Path(told.get("SESSION_STORAGE_PATH", "sessions"))
    parser = argparse.ArgumentParser("python -m tests.models.node_service", description="The Node service's model.")
    parser.add_argument("--host", default="0.0.0.0", help="where it listens")
    parser.add_argument("--port", type=int, default=int(told.get("PORT", "3001")), help="PORT")
    parser.add_argument("--backend", default=told.get("LARAVEL_URL", ""), help="LARAVEL_URL")
    parser.add_argument("--api-key", default=key, help="API_KEY, else LARAVEL_API_TOKEN")
    parser.add_argument("--hmac-secret", default=told.get("HMAC_SECRET", ""), help="HMAC_SECRET")
    parser.add_argument("--storage", type=Path, default=storage, help="SESSION_STORAGE_PATH")
    parser.add_argument("--judge", type=Path, help="file to which it appends what became of logins and messages")
    parser.add_argument("--control-port", type=int, default=0, help="of the test's own calls, on 127.0.0.1")
    pace = Pace()
    for option, seconds in (
        ("--browser-takes", pace.browser),
        ("--login-takes", pace.login),
        ("--ready-takes", pace.ready),
        ("--qr-every", pace.qr_every),
        ("--reconnects-after", pace.reconnect),
        ("--hang-kills-after", 45.0),
    ):
        parser.add_argument(option, type=float, default=seconds, metavar="S")
    return parser


if __name__ == "__main__":
    main()
