"""A holder that was cut off, keeps its login, and goes on with it after the session was granted anew.

Our own instances ask the vault before each login, and so never do that. Whoever does is let in, for WhatsApp knows of
no epochs, and ends the rightful holder's connection; what it must not come to is a message of its own.
"""

import asyncio
import json
import os
from dataclasses import dataclass, field

from homing.decide.fleet.leases import LeasePolicy
from homing.demo.plan import Unworkable
from homing.instance.engine import EngineSession, Frame, Label, Message
from homing.instance.engines.baileys.engine import BaileysEngine
from homing.instance.engines.baileys.sidecar import Sidecar, SidecarCommand
from homing.instance.lease import LeaseKeeper
from homing.instance.session.device_state import SessionState
from homing.instance.session.ownership import Ownership
from homing.lab.chaos.faults.actions import Action, freeze_instance, wake_instance
from homing.lab.chaos.stage import Stage
from homing.model.instances.vault import Grant, Holder, StaleEpoch, Unsent
from homing.model.sends.faults import Fault
from homing.ports import Credentials, Leases
from homing.store.vault.opening import open_vault
from homing.store.vault.vault import SqlVault
from homing.world import SystemClock

STALE = "stale"
"""What stands in the ledger as who is behind the connections of such a holder."""
GRANTED_ANEW_WITHIN_S = 30.0
GOES_ON_FOR_S = 20.0
ANSWERS_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.1


@dataclass(slots=True)
class StaleHolder:
    """What an instance was granted, in the hands of somebody who asks nobody before it is used."""

    grant: Grant
    vault: Credentials
    leases: Leases
    refused: asyncio.Event = field(default_factory=asyncio.Event)

    def state(self) -> SessionState:
        """Its keys, as an instance keeps them."""
        boot = self.grant.holder
        lease = LeaseKeeper(
            self.leases, boot.instance_url, SystemClock(), fresh_id=lambda: boot.incarnation, policy=LeasePolicy()
        )
        return SessionState(
            Ownership(self.grant, self.vault, lease, _LOOK_EVERY_S),
            self.vault,
            trusted=_at_once,
            superseded=lambda _: self.refused.set(),
            room=_at_once,
            ask_again_s=_LOOK_EVERY_S,
        )

    async def goes_on(self, wire: EngineSession, state: SessionState, message: Message) -> bool:
        """Log in, seal, have it reserved, and say it unless that is refused; whether it was said."""
        assert self.grant.login is not None
        label = Label(STALE, self.grant.epoch)
        await wire.login(self.grant.login, next_counter=self.grant.next_counter, label=label)
        sealed = await wire.seal(message)
        reserved = await state.reserve(self.grant, [Unsent(message.message_id, sealed)])
        if isinstance(reserved, StaleEpoch):
            return False
        wire.transmit(Frame(reserved[0].counter, message.message_id, sealed))
        return True

    async def until_stopped(self, wire: EngineSession, message: Message, state: SessionState) -> None:
        """Go on until the vault has refused something, whatever it was: then an engine says nothing more."""
        saying = asyncio.create_task(self.goes_on(wire, state, message))
        hearing = asyncio.create_task(self.refused.wait())
        try:
            await asyncio.wait([saying, hearing], timeout=GOES_ON_FOR_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            state.end()
            wire.close()
            for task in (saying, hearing):
                task.cancel()
            await asyncio.gather(saying, hearing, return_exceptions=True)


async def _at_once() -> None:
    return


class StaleLogins:
    """The fault, on the sessions of one run: each of them once, since its holder takes it back once a day."""

    def __init__(self) -> None:
        self._taken: Grant | None = None
        self._had: set[tuple[str, str]] = set()
        """By the fleet's database."""

    async def cut_off(self, stage: Stage, url: str) -> None:
        """Note what the instance has of one of its sessions, and stop it. Raises Unworkable."""
        rows = await stage.listed(url) or {}
        free = sorted(row.session_id for row in rows.values() if row.status == "connected")
        fleet = stage.demo.database_url
        fresh = [session for session in free if (fleet, session) not in self._had]
        if not fresh:
            raise Unworkable(f"Each session of {url} was used by a stale holder before: take more accounts")
        session = stage.chance.choice(fresh)
        boot = Holder(url, await _incarnation(stage, url))
        async with open_vault(stage.demo.database_url, key=stage.demo.secrets.vault_key) as (vault, *_):
            grant = await vault.open(session, epoch=rows[session].epoch, holder=boot)
        if not isinstance(grant, Grant) or grant.login is None:
            raise Unworkable(f"{url} does not have session {session} as it lists it: {grant}")
        self._had.add((fleet, session))
        self._taken = grant
        await freeze_instance(stage, url)

    async def go_on(self, stage: Stage, url: str) -> None:
        """Once the session was granted anew its login is used as before; then the instance is woken. Raises
        Unworkable if nobody was let in with it."""
        try:
            if self._taken is not None:
                await _used_on(stage, self._taken)
        finally:
            self._taken = None
            await wake_instance(stage, url)


def stale_login() -> tuple[Action, Action]:
    """How it begins, and how it ends."""
    logins = StaleLogins()
    return logins.cut_off, logins.go_on


async def _used_on(stage: Stage, grant: Grant) -> None:
    engine = _engine(stage)
    before = _let_in(stage, grant)
    try:
        async with open_vault(stage.demo.database_url, key=stage.demo.secrets.vault_key) as (vault, leases, _):
            await _granted_anew(vault, grant)
            holder = StaleHolder(grant, vault, leases)
            state = holder.state()
            wire = await engine.connect(lambda _: None, state)
            text = f"under epoch {grant.epoch}, which is over"
            message = Message(f"3EB0{stage.chance.getrandbits(72):018X}", stage.demo.population.contacts[0].phone, text)
            await holder.until_stopped(wire, message, state)
    finally:
        await engine.close()
    if _let_in(stage, grant) == before:
        raise Unworkable(f"Nobody was let in with the login of {grant.session_id} under epoch {grant.epoch}")


def _engine(stage: Stage) -> BaileysEngine:
    installed = stage.wanted.engine
    assert installed is not None
    os.environ["HOMING_TEST_WHATSAPP_ROOT"] = stage.demo.starter.root_key  # as instances of the fleet have it
    command = SidecarCommand(installed.node, installed.package)
    return BaileysEngine(Sidecar(command.words), stage.demo.whatsapp_address, None)


async def _granted_anew(vault: SqlVault, grant: Grant) -> None:
    for _ in range(int(GRANTED_ANEW_WITHIN_S / _LOOK_EVERY_S)):
        if await vault.epoch(grant.session_id) > grant.epoch:
            return
        await asyncio.sleep(_LOOK_EVERY_S)
    raise Unworkable(f"Session {grant.session_id} was not granted anew within {GRANTED_ANEW_WITHIN_S:.0f} s")


def _let_in(stage: Stage, grant: Grant) -> int:
    """How often a stale holder was let in under this epoch, by WhatsApp's ledger."""
    by = {"holder": STALE, "epoch": str(grant.epoch)}
    lines = map(json.loads, stage.demo.folder.ledger.read_bytes().splitlines())
    return sum(line["event"] == "login" and not line["refused"] and line["label"] == by for line in lines)


async def _incarnation(stage: Stage, url: str) -> str:
    reply = await stage.wire.call("GET", stage.listens[url], "/health", timeout_s=ANSWERS_WITHIN_S)
    if isinstance(reply, Fault):
        raise Unworkable(f"{url} does not say which boot it is: {reply}")
    return str(json.loads(reply.body)["incarnation"])
