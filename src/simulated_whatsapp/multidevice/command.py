"""``python -m simulated_whatsapp multidevice``: the real multi-device protocol as a process of its own.

Prints one line of JSON once it listens: ``pid``, ``address`` (WebSockets at ``url``, and the administration),
``root_key`` (what a client has to trust in the Noise handshake, in hex), ``media`` and the ``ca`` file to trust there.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from simulated_whatsapp.multidevice.server.listening import MultideviceServer, Settings
from simulated_whatsapp.multidevice.wire.codec import NO_WORDS
from simulated_whatsapp.multidevice.wire.dictionary import NoDictionary, read_dictionary


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m simulated_whatsapp multidevice", description="A simulated WhatsApp that speaks the real protocol."
    )
    parser.add_argument("--address", default="127.0.0.1:0", help="where to listen; port 0 takes any free one")
    parser.add_argument("--ledger", type=Path, required=True, help="file of what happened, a JSON line for each event")
    parser.add_argument("--keys", type=Path, required=True, help="folder of the server's keys, made at the first start")
    parser.add_argument(
        "--dictionary", type=Path, help="folder of an installed Baileys 7, whose words its clients write with"
    )
    return parser


async def serve(given: argparse.Namespace) -> int:
    """Until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    host, _, port = given.address.rpartition(":")
    try:
        words = read_dictionary(given.dictionary) if given.dictionary else NO_WORDS
        settings = Settings(given.ledger, given.keys, host, int(port), words)
        server = await MultideviceServer.start(settings)
    except NoDictionary as problem:
        print(f"No dictionary: {problem}.", file=sys.stderr)
        return 2
    except OSError as problem:
        print(f"Cannot listen on {given.address}: {problem.strerror}.", file=sys.stderr)
        return 2
    async with server:
        print(json.dumps(_told(server)), flush=True)
        await stopped.wait()
    return 0


def _told(server: MultideviceServer) -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "address": server.address,
        "url": server.url,
        "root_key": server.keys.root.public.hex(),
        "media": server.media,
        "ca": str(server.keys.authority.absolute()),
    }
