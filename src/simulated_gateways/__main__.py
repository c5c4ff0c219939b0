"""``python -m simulated_gateways FAMILY``: a model of a gateway as a process of its own.

Its sessions are those whose logins are in ``--logins``, devices of the simulated WhatsApp at ``--whatsapp``. The key
that it asks for is the environment's ``GATEWAY_KEY``. Prints ``{"pid", "url"}`` once it listens and its sessions are
up, and ends on SIGTERM or SIGINT.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from simulated_gateways import MODELS
from simulated_gateways.line import DeviceLine, Logins
from simulated_whatsapp.wire import tcp


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m simulated_gateways", description="A model of a WhatsApp gateway.")
    parser.add_argument("family", choices=sorted(MODELS))
    parser.add_argument("--port", type=int, default=0, help="where to listen; 0 takes any free one")
    parser.add_argument("--url", help="the address by which it is reached; default: where it listens")
    parser.add_argument("--whatsapp", required=True, metavar="HOST:PORT", help="the simulated WhatsApp")
    parser.add_argument("--logins", type=Path, required=True, help="the file that keeps its sessions' logins")
    parser.add_argument(
        "--empty", action="store_true", help="its sessions stay closed until they are started, as WAHA's do"
    )
    parser.add_argument("--fault-injection", action="store_true", help="PUT /faults says what befalls it")
    return asyncio.run(_serve(parser.parse_args(arguments)))


async def _serve(given: argparse.Namespace) -> int:
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    model = MODELS[given.family]()
    model.key = os.environ.get("GATEWAY_KEY") or model.key
    model.fault_injection = given.fault_injection
    try:
        await model.start(given.port)
    except OSError as problem:
        print(f"Cannot listen on port {given.port}: {problem.strerror}.", file=sys.stderr)
        return 2
    url = given.url or model.url
    line = DeviceLine(model, tcp(given.whatsapp), Logins.read(given.logins), url, opens=not given.empty)
    await line.settled()
    running = asyncio.create_task(line.run())
    print(json.dumps({"pid": os.getpid(), "url": url}), flush=True)
    await stopped.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await model.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
