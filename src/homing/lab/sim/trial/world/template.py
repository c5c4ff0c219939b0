"""The database that a run begins with: accounts, instances, logins and a key, made once and copied for each run."""

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache

from homing.lab.sim.loop import run
from homing.lab.sim.trial.clients import Chat
from homing.lab.sim.trial.judging.diary import Diary, written_to
from homing.lab.sim.trial.scenario import Scenario
from homing.lab.sim.trial.world.whatsapp import draws
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.access import Scope
from homing.model.fleet import (
    NEVER_GRANTED,
    AccountUuid,
    InstanceUrl,
    MoveKind,
    Rebinding,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.ports import NewAccount
from homing.serve.callers.keyring import new_key
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.notices import LocalNotices
from homing.store.sqlite.engine import SqliteMemory
from homing.store.vault.sealing import KeyRing, VaultKey
from homing.store.vault.vault import SqlVault
from simulated_whatsapp.core import DeviceCredentials, Judge

WORKSPACE = WorkspaceId(1)


@dataclass(frozen=True, slots=True)
class Template:
    """A filled database, the chats of its accounts, and a token for the API."""

    database: SqliteMemory
    chats: tuple[Chat, ...]
    token: str


def linked(judge: Judge, scenario: Scenario) -> list[DeviceCredentials]:
    """The devices of the scenario's sessions, the same in every run."""
    return judge.preregister((session, _phone(number)) for number, session in enumerate(scenario.session_ids))


def device_draws() -> Callable[[int], str]:
    return draws(random.Random("devices"))  # noqa: S311 - the same in every run


def key_ring() -> KeyRing:
    nonces = random.Random("nonces")  # noqa: S311 - the same in every run
    return KeyRing(VaultKey("sim", b"k" * 32), token=nonces.randbytes)


def template(scenario: Scenario) -> Template:
    """The scenario's beginning."""
    return _made(scenario.instances, scenario.sessions)


@lru_cache(maxsize=8)
def _made(instances: int, sessions: int) -> Template:
    with written_to(Diary(lambda: 0.0)):
        return run(_filled(Scenario("", instances=instances, sessions=sessions)))


async def _filled(scenario: Scenario) -> Template:
    clock, entropy = VirtualClock(), SeededEntropy(1)
    memory = SqliteMemory(now=clock.now)
    directory = SqlDirectory(memory, LocalNotices(), clock)
    for url in scenario.instance_urls:
        await directory.create_instance(InstanceUrl(url))
    chats = [
        await _account(directory, entropy, session, number, scenario)
        for number, session in enumerate(scenario.session_ids)
    ]
    vault = SqlVault(memory, key_ring())
    logins = linked(Judge(draw=device_draws()), scenario)
    await vault.adopt({login.session_id: asdict(login) for login in logins})
    key, token = new_key(entropy, clock, workspace=None, scope=Scope.ADMIN, name="trial")
    await directory.add_key(key)
    return Template(memory, tuple(chats), token)


async def _account(
    directory: SqlDirectory, entropy: SeededEntropy, session: str, number: int, scenario: Scenario
) -> Chat:
    uuid = AccountUuid(entropy.uuid())
    new = NewAccount(uuid, WORKSPACE, SessionId(session), _phone(number), f"account {number}", Takeover.AUTO)
    account = await directory.create_account(new)
    url = InstanceUrl(scenario.instance_urls[number % scenario.instances])
    placed = Rebinding(account.placement, url, NEVER_GRANTED, MoveKind.PLACEMENT, "placed at first")
    assert await directory.rebind([placed])
    await directory.set_status(SessionId(session), SessionStatus.CONNECTED)
    return Chat(session, uuid, f"6281500{number:05d}")


def _phone(number: int) -> str:
    return f"6281200{number:05d}"
