"""``python -m simulated_whatsapp``: a simulated WhatsApp as a process of its own.

Prints ``{"pid", "address"}`` on standard output once it listens, and ends on SIGTERM or SIGINT.
``python -m simulated_whatsapp link CODE --address HOST:PORT`` is a phone that accepts a pairing code.
``python -m simulated_whatsapp multidevice`` speaks the real protocol instead (``multidevice.command``).
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path

from simulated_whatsapp.client import Administration, RefusedByWhatsApp
from simulated_whatsapp.multidevice import command
from simulated_whatsapp.server import Server, ServerSettings


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["link"]:
        return _run(_link(_link_parser().parse_args(given[1:])))
    if given[:1] == ["multidevice"]:
        return _run(command.serve(command.parser().parse_args(given[1:])))
    return _run(_serve(_settings(_parser().parse_args(given))))


async def _serve(settings: ServerSettings) -> int:
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    try:
        server = await Server.start(settings)
    except OSError as problem:
        print(f"Cannot listen on {settings.host}:{settings.port}: {problem.strerror}.", file=sys.stderr)
        return 2
    async with server:
        print(json.dumps({"pid": os.getpid(), "address": server.address}), flush=True)
        await stopped.wait()
    return 0


async def _link(given: argparse.Namespace) -> int:
    try:
        async with Administration(given.address) as whatsapp:
            session_id = await whatsapp.link(given.code, given.phone)
    except RefusedByWhatsApp as refused:
        print(f"WhatsApp refused the code {given.code}: {refused.reason}.", file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"No simulated WhatsApp at {given.address}: {problem}.", file=sys.stderr)
        return 1
    print(json.dumps({"session_id": session_id}))
    return 0


def _settings(given: argparse.Namespace) -> ServerSettings:
    host, _, port = given.address.rpartition(":")
    return ServerSettings(
        ledger=given.ledger,
        host=host,
        port=int(port),
        state=given.state,
        scan_after_s=given.scan_after,
        login_delay_s=given.login_delay,
        logins_per_second=given.logins_per_second,
        drop_repeats=not given.keep_repeats,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m simulated_whatsapp", description="A simulated WhatsApp.")
    parser.add_argument("--address", default="127.0.0.1:0", help="where to listen; port 0 takes any free one")
    parser.add_argument("--ledger", type=Path, required=True, help="file of the messages that reached someone")
    parser.add_argument("--state", type=Path, help="file that keeps the devices over a restart")
    parser.add_argument("--scan-after", type=float, metavar="S", help="a phone scans each code after S seconds")
    parser.add_argument("--login-delay", type=float, default=0.0, metavar="S", help="how long a login takes")
    parser.add_argument("--logins-per-second", type=float, default=0.0, metavar="N", help="0: no limit")
    parser.add_argument("--keep-repeats", action="store_true", help="deliver repeated message ids again")
    return parser


def _link_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m simulated_whatsapp link", description="Accept a pairing code.")
    parser.add_argument("code")
    parser.add_argument("--address", required=True, help="HOST:PORT of the simulated WhatsApp")
    parser.add_argument("--phone", help="the number of the phone that scans")
    return parser


def _run(work: Coroutine[None, None, int]) -> int:
    _allow_many_connections()
    try:
        import uvloop  # optional: without it everything works, only slower
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def _allow_many_connections() -> None:
    import resource  # not on every platform

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
