"""``python -m homing.instance``: one session host as a process.

Prints ``{"pid", "url"}`` on standard output once it listens. Exit code 2: it cannot listen there.
"""

import argparse
import os
import sys
from pathlib import Path

import uvloop

from homing.instance.run import AddressTaken, InstanceSettings, serve


def main(arguments: list[str] | None = None) -> int:
    settings = _settings(_parser().parse_args(arguments))
    try:
        uvloop.run(serve(settings))
    except AddressTaken as taken:
        print(taken, file=sys.stderr)
        return 2
    return 0


def _settings(given: argparse.Namespace) -> InstanceSettings:
    return InstanceSettings(
        whatsapp_address=given.whatsapp,
        credentials_dir=given.credentials,
        api_key=given.api_key,
        host=given.host,
        port=given.port,
        url=given.url,
        log_level=given.log_level.upper(),
        restore=not given.no_restore,
        bulk_spacing_s=given.bulk_spacing,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m homing.instance", description="A host of WhatsApp sessions.")
    parser.add_argument("--port", type=int, default=3001)
    parser.add_argument("--host", default="127.0.0.1", help="the interface to listen on")
    parser.add_argument("--url", help="the address that others use; default http://localhost:PORT")
    parser.add_argument("--whatsapp", required=True, metavar="HOST:PORT", help="the simulated WhatsApp")
    parser.add_argument("--credentials", type=Path, required=True, metavar="DIR", help="shared credentials")
    key = os.environ.get("WHATSAPP_API_KEY")
    parser.add_argument("--api-key", default=key, required=key is None, help="or WHATSAPP_API_KEY")
    parser.add_argument("--no-restore", action="store_true", help="do not take up an earlier boot's sessions")
    parser.add_argument("--bulk-spacing", type=float, default=1.0, metavar="S", help="between bulk recipients")
    parser.add_argument("--log-level", default="warning")
    return parser


if __name__ == "__main__":
    sys.exit(main())
