"""Who answers a command: the gateway that is named, or this process on the database itself.

`HOMING_API_URL` and `HOMING_API_TOKEN` win; without them the commands that need no gateway open `HOMING_DATABASE_URL`.
It is one API either way, so that a command asks without knowing which it was.
"""

from typing import TYPE_CHECKING, Any

from homing.cli.sources.client import ApiClient
from homing.cli.sources.gateway import GatewayClient
from homing.cli.terminal.output import note
from homing.cli.terminal.stops import CannotStart

if TYPE_CHECKING:
    from homing.config import Settings

_EXITED_WAITS_S = 10.0
"""Well below the 20 s that the shipped unit gives an instance to end, this command included."""


def settings(**overrides: Any) -> "Settings":
    """The settings in force; a wrong one ends the command with the sentence that names it."""
    from homing.config import Misconfigured, load

    try:
        return load(**overrides)
    except Misconfigured as error:
        raise CannotStart(str(error)) from error


def source(*, may_create: bool = False) -> ApiClient:
    """The gateway that the settings name, else the database. `may_create`: a database that is not there is made."""
    known = settings()
    if known.homing_api_url:
        return _gateway(known)
    from homing.cli.sources.here import HereClient

    return HereClient(known, may_create=may_create)


def source_of_truth() -> ApiClient:
    """The gateway that the settings name; the database where it is away and they name one too.

    What a supervisor says once, as it stops an instance, is worth waiting for a database that comes back.
    """
    known = settings()
    if known.homing_api_url:
        named = _gateway(known)
        if "homing_database_url" not in known.model_fields_set or named.answers():
            return named
        note(f"No gateway answers at {known.homing_api_url}; the database is told instead.")
    from homing.cli.sources.here import HereClient

    return HereClient(known, waits_s=_EXITED_WAITS_S)


def gateway(doing: str) -> GatewayClient:
    """The gateway that the settings name; `doing` is what cannot be done without one."""
    known = settings()
    if not known.homing_api_url:
        raise CannotStart(
            f"{doing} needs a running gateway: set HOMING_API_URL (such as http://localhost:8000) and HOMING_API_TOKEN"
            " (a key made with `homing keys create`)"
        )
    return _gateway(known)


def _gateway(known: "Settings") -> GatewayClient:
    if not known.homing_api_token:
        raise CannotStart(
            f"HOMING_API_URL names the gateway {known.homing_api_url}, but HOMING_API_TOKEN is not set: give it a key"
            " made with `homing keys create`"
        )
    return GatewayClient(known.homing_api_url, known.homing_api_token)
