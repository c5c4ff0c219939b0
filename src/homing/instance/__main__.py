"""``python -m homing.instance``: one session host as a process.

Prints ``{"pid", "url"}`` on standard output once it listens. Exit code 2: it cannot listen there, or a setting is
wrong.
"""

import argparse
import os
import sys
from pathlib import Path

import uvloop

from homing.instance.gateway_settings import Misconfigured, gateway_settings
from homing.instance.run import AddressTaken, InstanceSettings, serve


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    try:
        uvloop.run(serve(_settings(given)))
    except (AddressTaken, Misconfigured) as problem:
        print(problem, file=sys.stderr)
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
        gateway=gateway_settings(
            os.environ,
            url=given.gateway,
            hmac_secret=given.hmac_secret,
            journal=given.journal,
            journal_folder=given.data,
            restore=given.restore_from_gateway,
        ),
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
    parser.add_argument("--gateway", metavar="URL", help="who is told what happens; or HOMING_URL, LARAVEL_URL")
    parser.add_argument("--hmac-secret", help="signs what the gateway is told; or HMAC_SECRET, WHATSAPP_HMAC_SECRET")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where journals are; default beside the credentials")
    parser.add_argument("--journal", type=Path, metavar="PATH", help="what the gateway does not have yet")
    parser.add_argument("--restore-from-gateway", action="store_true", help="ask it what is placed here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
