"""Who lives in the demo: accounts that are paired and logged in where the directory says, contacts, one key."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import aiohttp

from homing.decide.phones.aliases import person
from homing.demo.calls import InstanceClient
from homing.demo.plan import WORKSPACE, AccountPlan, DemoPlan, Unworkable, digits_of
from homing.model.directory.access import Scope
from homing.model.fleet import (
    Account,
    AccountUuid,
    Contact,
    ContactUuid,
    Epoch,
    InstanceUrl,
    MoveKind,
    Rebinding,
    SessionId,
    SessionStatus,
    Takeover,
)
from homing.model.instances.gateways import DEFAULT_FAMILY
from homing.ports import Credentials, Directory, NameTaken, NewAccount
from homing.serve.callers.keyring import new_key
from homing.world import SystemClock, SystemEntropy
from simulated_gateways.line import written
from simulated_whatsapp.client import Administration

FIRST_EPOCH = Epoch(1)
AT_ONCE = 16
"""Sessions that log in at the same moment."""

Disks = Mapping[str, Path]
Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """An account of the demo, and where it began. `uuid` is empty for a session that has no account yet."""

    id: int
    uuid: str
    phone: str
    session_id: str
    workspace_id: int
    instance_url: str
    family: str = DEFAULT_FAMILY
    """Which gateways its instance is one of."""

    @property
    def digits(self) -> str:
        return digits_of(self.phone)


@dataclass(frozen=True, slots=True)
class Population:
    """Who lives in the demo. `token` is an operator's key, whose id is `key_id`."""

    residents: list[DemoAccount]
    contacts: list[Contact]
    token: str
    key_id: str


async def settle(directory: Directory, plan: DemoPlan) -> Population:
    """Enter all of them in the directory. Raises Unworkable if it is not empty."""
    try:
        for url in plan.known_urls:
            await directory.create_instance(url, driver=plan.family(url))
        known = [wanted for wanted in plan.account_plans() if wanted.instance_url in plan.known_urls]
        accounts = await _at_once(lambda wanted: _account(directory, wanted), known)
        contacts = await _at_once(lambda numbered: _contact(directory, *numbered), enumerate(plan.contact_phones(), 1))
    except NameTaken as error:
        raise Unworkable(f"The database is not empty ({error}); give the demo one of its own") from error
    key, token = new_key(SystemEntropy(), SystemClock(), workspace=None, scope=Scope.ADMIN, name="demo")
    await directory.add_key(key)
    residents = [
        DemoAccount(
            account.id,
            account.uuid,
            account.phone,
            account.session_id,
            account.workspace_id,
            wanted.instance_url,
            wanted.family,
        )
        for account, wanted in zip(accounts, known, strict=True)
    ]
    residents += [_stranger(wanted) for wanted in plan.account_plans() if wanted.instance_url not in plan.known_urls]
    return Population(residents, contacts, token, key.id)


def _stranger(wanted: AccountPlan) -> DemoAccount:
    """Somebody whom the directory does not know yet."""
    session = wanted.session_id("")
    return DemoAccount(wanted.id, "", wanted.phone, session, WORKSPACE, wanted.instance_url, wanted.family)


async def pair(residents: Sequence[DemoAccount], whatsapp_address: str, vault: Credentials, disks: Disks) -> None:
    """Link a device for each, as if its phone had scanned the code, and leave the logins where gateways find them.

    Ours are in the vault. Other people's gateways have theirs on disks of their own: `disks` are the files, by address.
    """
    async with Administration(whatsapp_address) as whatsapp:
        linked = await whatsapp.preregister([(resident.session_id, resident.digits) for resident in residents])
    devices = {device.session_id: device for device in linked}
    ours = {each.session_id: asdict(devices[each.session_id]) for each in residents if each.family == DEFAULT_FAMILY}
    await vault.adopt(ours)
    for url, path in disks.items():
        there = [each for each in residents if each.instance_url == url]
        written(path, {each.session_id: (each.digits, devices[each.session_id]) for each in there})


async def pair_really(
    residents: Sequence[DemoAccount], http: aiohttp.ClientSession, whatsapp_address: str, vault: Credentials
) -> None:
    """The same with a WhatsApp that speaks the real protocol: the logins are what Baileys keeps of a linked device."""
    asked = {"phones": [resident.digits for resident in residents]}
    async with http.post(f"http://{whatsapp_address}/admin/preregister", json=asked) as answer:
        made = (await answer.json())["credentials"]
    logins = {each.session_id: {"creds": json.dumps(creds)} for each, creds in zip(residents, made, strict=True)}
    await vault.adopt(logins)


async def log_in(directory: Directory, residents: Sequence[DemoAccount], instances: InstanceClient) -> None:
    """Open each session on our own instances under the first epoch, and record of each that it lives where it does."""
    residents = [resident for resident in residents if resident.uuid]
    ours = [resident for resident in residents if resident.family == DEFAULT_FAMILY]
    await _at_once(
        lambda resident: instances.start(resident.instance_url, resident.session_id, epoch=FIRST_EPOCH), ours
    )
    routes = {route.session_id: route for route in await directory.routes(sessions=_sessions(residents))}
    changes = [
        Rebinding(
            expected=routes[SessionId(resident.session_id)].placement,
            instance_url=InstanceUrl(resident.instance_url),
            epoch=FIRST_EPOCH,
            kind=MoveKind.PLACEMENT,
            reason="the demo began here",
        )
        for resident in residents
    ]
    await directory.rebind(changes)
    await _at_once(lambda session: directory.set_status(session, SessionStatus.CONNECTED), _sessions(residents))


async def _account(directory: Directory, wanted: AccountPlan) -> Account:
    uuid = SystemEntropy().uuid()
    return await directory.create_account(
        NewAccount(
            uuid=AccountUuid(uuid),
            workspace_id=WORKSPACE,
            session_id=wanted.session_id(uuid),
            phone=wanted.phone,
            person=person(wanted.digits),
            name=wanted.name,
            takeover=Takeover.AUTO if wanted.family == DEFAULT_FAMILY else Takeover.MANUAL,
            id=wanted.id,
        )
    )


async def _contact(directory: Directory, number: int, phone: str) -> Contact:
    uuid = ContactUuid(SystemEntropy().uuid())
    return await directory.create_contact(uuid, WORKSPACE, phone, f"Contact {number}")


def _sessions(residents: Sequence[DemoAccount]) -> list[SessionId]:
    return [SessionId(resident.session_id) for resident in residents]


async def _at_once(do: Callable[[Given], Awaitable[Made]], given: Iterable[Given]) -> list[Made]:
    """Do it for all, a bounded number at a time; the results in the order of the given."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: Given) -> Made:
        async with gate:
            return await do(item)

    return list(await asyncio.gather(*(one(item) for item in given)))
