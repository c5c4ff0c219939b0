"""`homing serve`, `homing instance` and `homing demo`: the commands that stay up."""

import errno
import logging
import os
import secrets
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from homing.cli.sources.source import settings
from homing.cli.terminal.output import note
from homing.cli.terminal.stops import DONE, CannotStart, NeedsAttention

if TYPE_CHECKING:
    from homing.config import Settings
    from homing.instance.run import InstanceSettings

Port = Annotated[int, Parameter(validator=Number(gte=1, lte=65_535))]
AnyPort = Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))]
FaultInjection = Annotated[
    bool,
    Parameter(negative="", show_default=False, help="For trials: its key can make it hang, lie or crash, at /faults."),
]
Count = Annotated[int, Parameter(validator=Number(gte=1))]
Gateways = Annotated[
    str,
    Parameter(
        help="Which session gateways, and how many of each: waha:2,evolution:1,webjs:1 (webjs are our own instances)."
        " Or a number: so many processes of Homing, on following ports; several need PostgreSQL."
    ),
]


def serve(
    *,
    host: Annotated[str | None, Parameter(help="The interface to listen on. [default: HOMING_HOST, localhost]")] = None,
    port: Annotated[Port | None, Parameter(help="[default: HOMING_PORT, 8000]")] = None,
    workers: Annotated[
        Count | None, Parameter(help="Processes that share the port; PostgreSQL only. [default: HOMING_WORKERS, 1]")
    ] = None,
) -> int:
    """Run the gateway: the HTTP API on one stable address, with its documentation at /docs. Ctrl-C ends it.

    Everything else is set by environment variables or `.env`, such as HOMING_DATABASE_URL and WHATSAPP_INSTANCE_1.
    A database that is not there yet is waited for (HOMING_DATABASE_WAIT), with /health 200 and /ready 503 meanwhile.

    Example: `homing serve --port 8000`

    Example: `homing serve --workers 4`, where `kill -HUP` replaces them one by one
    """
    given = {"homing_host": host, "homing_port": port, "homing_workers": workers}
    known = settings(**{name: value for name, value in given.items() if value is not None})
    from homing.compose.process import serve_until_stopped
    from homing.config import Misconfigured
    from homing.ports import StoreUnavailable
    from homing.store.db.database import StoreMisconfigured

    try:
        return serve_until_stopped(known)
    except (StoreMisconfigured, Misconfigured) as error:
        raise CannotStart(f"The gateway cannot start: {error}") from error
    except StoreUnavailable as error:
        raise NeedsAttention(f"The gateway did not start within HOMING_DATABASE_WAIT: {error}") from error
    except OSError as error:
        raise CannotStart(_cannot_listen(known.homing_host, known.homing_port, error)) from error
    except KeyboardInterrupt:
        note("Ended by Ctrl-C.")
    return DONE


def _opening_key(key: str, host: str) -> str:
    """The key that callers must show. Raises CannotStart for none, and for one that others could try out."""
    from homing.config import SECRET_MIN
    from homing.model.urls import is_loopback_host

    if not key:
        raise CannotStart("An instance needs a key that callers must show: give --api-key or set WHATSAPP_API_KEY")
    if len(key) < SECRET_MIN and not is_loopback_host(host):
        raise CannotStart(
            f"The key that callers must show is shorter than {SECRET_MIN} characters, and it listens on {host},"
            " where others can try it out; make it longer, or listen on localhost"
        )
    return key


def instance(
    *,
    engine: Annotated[str, Parameter(help="What speaks WhatsApp: simulated, baileys, or a package's.")] = "simulated",
    whatsapp: Annotated[
        str | None, Parameter(help="Where a simulated WhatsApp listens, as HOST:PORT; baileys: only in tests.")
    ] = None,
    database: Annotated[
        str | None, Parameter(help="Where the vault is: the gateways' database. [default: HOMING_DATABASE_URL]")
    ] = None,
    port: Annotated[AnyPort, Parameter(help="Where to listen; 0 takes any free one.")] = 3001,
    host: Annotated[str, Parameter(help="The interface to listen on.")] = "localhost",
    url: Annotated[str | None, Parameter(help="The address that others use. [default: http://localhost:PORT]")] = None,
    api_key: Annotated[str | None, Parameter(help="What callers must show. [default: WHATSAPP_API_KEY]")] = None,
    restore: Annotated[
        bool, Parameter(negative="--no-restore", help="Take up the sessions of this address's boot before.")
    ] = True,
    log_level: Annotated[str, Parameter(help="debug, info, warning or error.")] = "warning",
    gateway: Annotated[
        str | None, Parameter(help="Who is told what happens to sessions. [default: HOMING_URL, LARAVEL_URL]")
    ] = None,
    hmac_secret: Annotated[
        str | None, Parameter(help="Signs that. [default: HMAC_SECRET, WHATSAPP_HMAC_SECRET]")
    ] = None,
    data: Annotated[Path, Parameter(help="The folder of the journal.")] = Path("journals"),
    journal: Annotated[Path | None, Parameter(help="What the gateway does not have yet, as a file.")] = None,
    restore_from_gateway: Annotated[
        bool, Parameter(negative="", show_default=False, help="Ask the gateway which sessions are placed here.")
    ] = False,
    fault_injection: FaultInjection = False,
) -> int:
    """Run one session host. It speaks the same protocol as the Node gateways. Ctrl-C ends it.

    Logins are in the database's vault, sealed under HOMING_VAULT_KEY. Prints `{"pid", "url"}` once it listens.

    Example: `homing instance --port 3001 --whatsapp 127.0.0.1:4000 --api-key secret`
    """
    if log_level.upper() not in logging.getLevelNamesMapping():
        raise CannotStart(f"There is no log level {log_level!r}; it is one of debug, info, warning, error")
    known = settings(**({"homing_database_url": database} if database else {}))
    key = _opening_key(api_key or known.api_key, host)
    from homing.instance.notify.settings import InstanceMisconfigured, gateway_settings
    from homing.instance.policy import HostPolicy
    from homing.instance.run import InstanceSettings

    try:
        told = gateway_settings(
            _environment(),
            url=gateway,
            hmac_secret=hmac_secret,
            journal=journal,
            journal_folder=data,
            restore=restore_from_gateway,
        )
    except InstanceMisconfigured as error:
        raise CannotStart(str(error)) from error
    hosting = InstanceSettings(
        whatsapp_address=whatsapp,
        api_key=key,
        host=host,
        port=port,
        url=url,
        restore=restore,
        policy=HostPolicy(logins_per_s=known.homing_logins_per_instance),
        lease=known.lease_policy,
        gateway=told,
        fault_injection=fault_injection,
        engine=engine,
    )
    return _host(known, hosting, log_level)


def _host(known: "Settings", hosting: "InstanceSettings", log_level: str) -> int:
    import uvloop

    from homing.instance.engines.registry import EngineUnusable
    from homing.instance.notify.settings import InstanceMisconfigured
    from homing.instance.run import AddressTaken
    from homing.model.instances.vault import VaultSealed
    from homing.ports import StoreUnavailable
    from homing.serve import logs
    from homing.store.db.database import StoreMisconfigured

    logs.configure(log_level, "text", background=True, libraries=log_level)
    try:
        uvloop.run(_hosted(known, hosting))
    except (AddressTaken, EngineUnusable, InstanceMisconfigured) as error:
        raise CannotStart(str(error)) from error
    except StoreUnavailable as error:
        raise NeedsAttention(f"The instance did not start within HOMING_DATABASE_WAIT: {error}") from error
    except (StoreMisconfigured, VaultSealed, OSError) as error:
        raise CannotStart(f"The instance cannot start: {error}") from error
    return DONE


async def _hosted(known: "Settings", hosting: "InstanceSettings") -> None:
    from homing.compose.parts.adopting import opened_exits
    from homing.compose.waiting import until_there
    from homing.instance.run import serve
    from homing.store.sqlite.process_id import marked
    from homing.store.vault.opening import open_vault
    from homing.world import SystemClock

    async with AsyncExitStack() as stack:
        vault, leases, kept = await until_there(
            lambda: stack.enter_async_context(
                open_vault(known.homing_database_url, key=known.homing_vault_key, old_keys=known.homing_vault_old_keys)
            ),
            give_up_s=known.homing_database_wait,
        )
        exits = opened_exits(known, kept)
        with_engine = replace(
            hosting,
            engine_folder=known.homing_engines,
            node=known.homing_node,
            engine_memory_mb=known.homing_engine_memory,
            whatsapp_version=known.homing_whatsapp_version or None,
        )
        await serve(
            with_engine, vault, leases, SystemClock(), fresh_id=lambda: marked(secrets.token_hex(8)), exits=exits
        )


def demo(
    *,
    accounts: Annotated[Count, Parameter(help="Accounts, spread over the instances.")] = 12,
    contacts: Annotated[Count, Parameter(help="Contacts in workspace 1.")] = 10,
    instances: Annotated[Count | None, Parameter(help="Instances, all of them ours. [default: 4]")] = None,
    gateways: Gateways = "1",
    port: Annotated[Port, Parameter(help="Where the (first) gateway listens.")] = 8000,
    instance_ports: Annotated[Port, Parameter(help="Where the first instance listens; the others follow.")] = 3001,
    data: Annotated[
        Path | None, Parameter(help="Where to keep everything. [default: a temporary folder, removed at the end]")
    ] = None,
    fresh: Annotated[
        bool, Parameter(negative="", show_default=False, help="Remove what an earlier demo left in that folder.")
    ] = False,
    database: Annotated[str | None, Parameter(help="An empty database. [default: SQLite in that folder]")] = None,
    state_file: Annotated[Path | None, Parameter(help="Written once all is ready, for programs to read.")] = None,
    story: Annotated[
        bool, Parameter(negative="", show_default=False, help="Tell the three failover stories on it, then end.")
    ] = False,
    reports: Annotated[
        bool,
        Parameter(
            negative="--no-reports",
            help="Instances tell the gateway what happens to their sessions. Never in a story, whose point is that it"
            " finds out by itself.",
        ),
    ] = True,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", show_default=False, help="The story's result as JSON on stdout.")
    ] = False,
) -> int:
    """Run a whole fleet on this machine: a simulated WhatsApp, instances, a gateway, accounts and contacts.

    It stays up until Ctrl-C, shows what to paste, and never restarts what you kill.

    Example: `homing demo`

    Example: `homing demo --gateways waha:2,evolution:1,webjs:1`

    Example: `homing demo --story --accounts 6 --port 8100 --instance-ports 3101`
    """
    if as_json and not story:
        raise CannotStart("--json is for the result of --story; --state-file tells programs of a demo that stays up")
    from homing.demo.command import run
    from homing.demo.plan import DemoPlan, Unworkable, mixed

    try:
        families = () if gateways.isdecimal() else mixed(gateways)
        return run(
            DemoPlan(
                accounts=accounts,
                contacts=contacts,
                instances=instances if instances is not None else len(families) or 4,
                families=families,
                gateways=_count(gateways) if not families else 1,
                gateway_port=port,
                first_instance_port=instance_ports,
                folder=data,
                fresh=fresh,
                database_url=database,
                state_file=state_file,
                story=story,
                reports=reports and not story,
                as_json=as_json,
            )
        )
    except Unworkable as error:
        raise CannotStart(str(error)) from error


def _count(given: str) -> int:
    number = int(given[:9])
    if number < 1:
        raise CannotStart("At least one gateway is needed")
    return number


def _environment() -> dict[str, str]:
    """What the environment says, and below it the file `.env`."""
    from dotenv import dotenv_values

    in_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return {**in_file, **os.environ}


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is in use by another process; end that one, or choose another with --port"
    return f"The gateway cannot listen on {host}:{port}: {error.strerror or error}"
