"""The database that a run begins with: accounts, instances, logins and a key, made once and copied for each run."""

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

from homing.lab.sim.loop import run
from homing.lab.sim.trial.clients import Chat
from homing.lab.sim.trial.judging.diary import Diary, written_to
from homing.lab.sim.trial.scenario import Scenario
from homing.lab.sim.trial.world.foreign import FAMILY
from homing.lab.sim.trial.world.instances import HMAC_SECRET
from homing.lab.sim.trial.world.whatsapp import draws
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.deliveries.endpoints import EndpointId, EndpointSettings
from homing.model.directory.access import Scope
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
from homing.store.deliveries.secrets import DerivedSecrets
from homing.store.deliveries.stores import SqlEndpoints
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
    return judge.preregister((session, _phone(number)) for number, session in enumerate(scenario.every_session))


def device_draws() -> Callable[[int], str]:
    return draws(random.Random("devices"))  # noqa: S311 - the same in every run


def key_ring() -> KeyRing:
    nonces = random.Random("nonces")  # noqa: S311 - the same in every run
    return KeyRing(VaultKey("sim", b"k" * 32), token=nonces.randbytes)


def template(scenario: Scenario) -> Template:
    """The scenario's beginning."""
    return _made(scenario.instances, scenario.sessions, scenario.foreign, scenario.foreign_sessions, scenario.receivers)


@lru_cache(maxsize=8)
def _made(instances: int, sessions: int, foreign: int, foreign_sessions: int, receivers: int) -> Template:
    size = Scenario(
        "",
        instances=instances,
        sessions=sessions,
        foreign=foreign,
        foreign_sessions=foreign_sessions,
        receivers=receivers,
    )
    with written_to(Diary(lambda: 0.0)):
        return run(_filled(size))


async def _filled(scenario: Scenario) -> Template:
    clock, entropy = VirtualClock(), SeededEntropy(1)
    memory = SqliteMemory(now=clock.now)
    directory = SqlDirectory(memory, LocalNotices(), clock)
    for url in scenario.instance_urls:
        await directory.create_instance(InstanceUrl(url))
    for url in scenario.foreign_urls:
        await directory.create_instance(InstanceUrl(url), driver=FAMILY)
    chats = [
        await _account(directory, entropy, session, number, scenario)
        for number, session in enumerate(scenario.every_session)
    ]
    vault = SqlVault(memory, key_ring())
    logins = linked(Judge(draw=device_draws()), scenario)
    ours = set(scenario.session_ids)
    await vault.adopt({login.session_id: asdict(login) for login in logins if login.session_id in ours})
    key, token = new_key(entropy, clock, workspace=None, scope=Scope.ADMIN, name="trial")
    await directory.add_key(key)
    await _endpoints(memory, entropy, scenario)
    return Template(memory, tuple(chats), token)


async def _endpoints(memory: SqliteMemory, entropy: SeededEntropy, scenario: Scenario) -> None:
    """One for each customer's server, for all events."""
    box, endpoints = DerivedSecrets(HMAC_SECRET.encode(), (), entropy.token), SqlEndpoints(memory)
    for nth, host in enumerate(scenario.receiver_hosts):
        name = EndpointId(f"ep_{nth}")
        wanted = EndpointSettings(f"https://{host}/hook", ordered=nth % 2 == 0)
        await endpoints.create(name, WORKSPACE, wanted, box.seal(f"endpoint {name}", entropy.token(24)))


async def _account(
    directory: SqlDirectory, entropy: SeededEntropy, session: str, number: int, scenario: Scenario
) -> Chat:
    uuid = AccountUuid(entropy.uuid())
    theirs = session in scenario.foreign_session_ids
    takeover = Takeover.MANUAL if theirs else Takeover.AUTO
    new = NewAccount(uuid, WORKSPACE, SessionId(session), _phone(number), f"account {number}", takeover)
    account = await directory.create_account(new)
    urls = scenario.foreign_urls if theirs else scenario.instance_urls
    url = InstanceUrl(urls[number % len(urls)])
    placed = Rebinding(account.placement, url, NEVER_GRANTED, MoveKind.PLACEMENT, "placed at first")
    assert await directory.rebind([placed])
    await directory.set_status(SessionId(session), SessionStatus.CONNECTED)
    return Chat(session, uuid, f"6281500{number:05d}")


def _phone(number: int) -> str:
    return f"6281200{number:05d}"


def on_disk(
    url: str, logins: Sequence[DeviceCredentials], scenario: Scenario
) -> dict[str, tuple[str, DeviceCredentials]]:
    """Session → phone and login, of those that begin on this one of somebody else's gateways."""
    numbers = {session: number for number, session in enumerate(scenario.every_session)}
    theirs = [each for each in logins if each.session_id in scenario.foreign_session_ids]
    urls = scenario.foreign_urls
    return {
        each.session_id: (_phone(numbers[each.session_id]), each)
        for each in theirs
        if urls[numbers[each.session_id] % len(urls)] == url
    }
