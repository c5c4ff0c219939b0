"""What demo is wanted, and whether it can be had."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from homing.model.fleet import InstanceUrl, SessionId, WorkspaceId
from homing.model.instances.gateways import DEFAULT_FAMILY
from simulated_gateways import MODELS

WORKSPACE = WorkspaceId(1)

_SEED_ACCOUNTS = ((142, "0816108641"), (144, "62811801641"), (145, "62811111111"))
_FIRST_FURTHER_ID = 146
_PORT_MAX = 65_535
INSTANCES_MAX = 100
_MANY = 10_000_000
"""As many different numbers as there are behind one prefix."""


class Unworkable(Exception):
    """The demo cannot be had. The message is one sentence that says why, and what to do."""


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """An account to be: three known ones first, then numbers of the same country."""

    id: int
    phone: str
    name: str
    instance_url: InstanceUrl
    family: str = DEFAULT_FAMILY

    @property
    def digits(self) -> str:
        return digits_of(self.phone)

    def session_id(self, uuid: str) -> SessionId:
        """A name that gateways of its family can give to a session; baileys-api's are phones."""
        match self.family:
            case "webjs":
                return SessionId(f"webjs_{WORKSPACE}_{uuid.replace('-', '')}")
            case "baileys-api":
                return SessionId(f"+{self.digits}")
            case _:
                return SessionId(f"shop-{self.id}")


@dataclass(frozen=True, slots=True)
class Detours:
    """By which ways the parts of the demo reach each other, where something stands between them.

    Instances listen at `listening_ports`, and are reached by what stands at their addresses. The databases are the
    plan's own one, as each gateway and each instance reaches it.
    """

    listening_ports: tuple[int, ...] = ()
    gateway_databases: tuple[str, ...] = ()
    instance_databases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Apart:
    """What one process of the demo has that others have not.

    The `pipe` leads to its log, and somebody reads it. The `program` is a module, with its arguments, that runs the
    process's own. It `tells_all`: everything that can be logged is.
    """

    pipe: Path | None = None
    program: tuple[str, ...] = ()
    tells_all: bool = False


@dataclass(frozen=True, slots=True)
class RealEngine:
    """The engine of the real WhatsApp, as it is installed: Node, the folder of engines, and Baileys in it."""

    node: str
    engines: Path
    package: Path


def digits_of(phone: str) -> str:
    """A phone of the demo as WhatsApp has it. One of the known numbers is written as people do at home."""
    return f"62{phone[1:]}" if phone.startswith("0") else phone


def nothing_apart(_name: str) -> Apart:
    return Apart()


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """How large the demo is, where it listens, and where it keeps what it writes."""

    accounts: int = 12
    contacts: int = 10
    instances: int = 4
    gateways: int = 1
    gateway_port: int = 8000
    first_instance_port: int = 3001
    folder: Path | None = None
    journals: Path | None = None
    logs: Path | None = None
    """Where these are kept if it is not in the folder."""
    fresh: bool = False
    database_url: str | None = None
    state_file: Path | None = None
    story: bool = False
    reports: bool = True
    """Instances tell the (first) gateway what happens to their sessions."""
    as_json: bool = False
    detours: Detours = field(default_factory=Detours)
    gateway_program: tuple[str, list[str]] = ("homing.cli", ["serve"])
    """The module that a gateway is, with its arguments."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What gateways and instances are told beyond what the demo needs."""
    apart: Callable[[str], Apart] = nothing_apart
    """What a gateway or an instance, by its name, has for itself."""
    instance_hosts: tuple[str, ...] = ()
    """The names under which instances are reached; none: localhost."""
    families: tuple[str, ...] = ()
    """The gateway family of each instance; none: all are our own, which speak webjs."""
    strangers: bool = False
    """Other people's gateways run with their sessions, and nobody has told us: no instance of them, and no account."""
    restarts_empty: bool = False
    """Other people's gateways whose process begins anew open none of their sessions by themselves."""
    engine: RealEngine | None = None
    """What our own instances speak WhatsApp with, in its real protocol; None: the simulated engine."""

    @property
    def instance_ports(self) -> list[int]:
        return list(range(self.first_instance_port, self.first_instance_port + self.instances))

    @property
    def listening_ports(self) -> list[int]:
        """Where instances listen: at their addresses, unless something stands there."""
        return list(self.detours.listening_ports) or self.instance_ports

    @property
    def gateway_ports(self) -> list[int]:
        return list(range(self.gateway_port, self.gateway_port + self.gateways))

    @property
    def instance_urls(self) -> list[InstanceUrl]:
        hosts = self.instance_hosts or ("localhost",) * self.instances
        return [InstanceUrl(f"http://{host}:{port}") for host, port in zip(hosts, self.instance_ports, strict=True)]

    @property
    def gateway_urls(self) -> list[str]:
        return [f"http://localhost:{port}" for port in self.gateway_ports]

    def family(self, url: InstanceUrl) -> str:
        """Which gateways the instance at this address is one of."""
        return self.families[self.instance_urls.index(url)] if self.families else DEFAULT_FAMILY

    @property
    def own_urls(self) -> list[InstanceUrl]:
        """The addresses of our own instances."""
        return [url for url in self.instance_urls if self.family(url) == DEFAULT_FAMILY]

    @property
    def known_urls(self) -> list[InstanceUrl]:
        """The addresses of the instances that the directory has from the start."""
        return self.own_urls if self.strangers else self.instance_urls

    def instance_name(self, number: int) -> str:
        """What the process is called, as is its log."""
        return f"Instance {number}"

    def gateway_name(self, number: int) -> str:
        return "Gateway" if self.gateways == 1 else f"Gateway {number}"

    def account_plans(self) -> list[AccountPlan]:
        """142, 144 and 145 on the first three instances, then the others in turn."""
        urls = self.instance_urls
        further = (
            (_FIRST_FURTHER_ID + number, f"62812{_MANY + number}") for number in range(max(0, self.accounts - 3))
        )
        named = [*_SEED_ACCOUNTS, *further][: self.accounts]
        return [
            AccountPlan(number, phone, f"Account {number}", url, self.family(url))
            for place, (number, phone) in enumerate(named)
            for url in [urls[place % len(urls)]]
        ]

    def contact_phones(self) -> list[str]:
        return [f"62813{_MANY + number}" for number in range(self.contacts)]


def check(plan: DemoPlan) -> None:
    """Raises Unworkable for what no machine could do."""
    ports = plan.instance_ports + plan.listening_ports + plan.gateway_ports
    if max(ports) > _PORT_MAX:
        raise Unworkable(f"Port {max(ports)} is needed, and ports end at {_PORT_MAX}; choose lower ones")
    twice = sorted(set(plan.instance_ports) & set(plan.gateway_ports))
    if twice:
        raise Unworkable(f"Port {twice[0]} is wanted both for an instance and for a gateway; move one with --port")
    if plan.gateways > 1 and not (plan.database_url or "").startswith("postgres"):
        raise Unworkable("More than one gateway needs a database that they can share: add --database postgresql://…")
    if plan.families and len(plan.families) != plan.instances:
        raise Unworkable(
            f"{len(plan.families)} gateways are named and {plan.instances} instances wanted: say one of both"
        )
    if plan.story and plan.families:
        raise Unworkable("The story is one of our own instances: leave the other gateways out of it")
    if plan.story and (plan.instances < 3 or plan.accounts < 6):
        raise Unworkable("The story needs at least 3 instances and 6 accounts")


def mixed(text: str) -> tuple[str, ...]:
    """The family of each instance of a mixed fleet, from `waha:2,evolution:1,webjs:1`. Raises Unworkable."""
    families: list[str] = []
    for part in text.split(","):
        family, _, number = part.strip().partition(":")
        if family != DEFAULT_FAMILY and family not in MODELS:
            known = ", ".join(sorted([*MODELS, DEFAULT_FAMILY]))
            raise Unworkable(f"There are no gateways {family[:40]!r} to be had here; there are {known}")
        if not (number or "1").isdecimal() or not 1 <= int(number or 1) <= INSTANCES_MAX:
            raise Unworkable(f"How many {family}? It is written {family}:2, at most {INSTANCES_MAX}")
        families += [family] * int(number or 1)
    return tuple(families)
