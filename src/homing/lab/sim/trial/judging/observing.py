"""The last look at a run, from outside: what instances list, what the API says, what WhatsApp still holds."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Connection, select

from homing.drivers.http.connection import Reply
from homing.lab.sim.trial.judging.history import OutsideHistory
from homing.lab.sim.trial.world.foreign import SimulatedForeign
from homing.lab.sim.trial.world.gateways import SimulatedGateway
from homing.lab.sim.trial.world.instances import API_KEY, SimulatedInstance
from homing.lab.sim.trial.world.network import SimulatedNetwork, SimulatedRequest
from homing.lab.sim.trial.world.stores import Reached, Store
from homing.lab.sim.trial.world.whatsapp import SimulatedExchange
from homing.lab.sim.world import STARTED_AT, VirtualClock
from homing.model.fleet import WorkspaceId
from homing.ports import Page, StoreUnavailable
from homing.store.db.schema.deliveries import deliveries, endpoints
from homing.store.db.schema.device_state import inbox
from homing.store.db.schema.outbox import batches
from homing.store.db.schema.tables import events
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.notices import LocalNotices
from homing.store.records.reports import SqlEvents
from homing.store.sends.messages import SqlMessages

_WORKSPACE = WorkspaceId(1)
_WITHIN_S = 5.0


async def observe(
    history: OutsideHistory,
    instances: Mapping[str, SimulatedInstance],
    foreign: Mapping[str, SimulatedForeign],
    gateways: Mapping[str, SimulatedGateway],
    whatsapp: SimulatedExchange,
    store: Store,
    network: SimulatedNetwork,
) -> None:
    """Write down how things stand."""
    for url, instance in instances.items():
        if instance.lives:
            await _list(history, network, url)
    for url, theirs in foreign.items():
        if theirs.lives:
            await _list_theirs(history, network, url)
    live = [name for name, gateway in gateways.items() if gateway.lives]
    history.add("gateways", live=live)
    for session, device in whatsapp.judge.devices.items():
        label: Any = device.label if device.connection else None
        told = {"url": label["instance_url"], "epoch": label["epoch"]} if label else {}
        history.add("connected", session=session, removed=device.removed, waiting=list(device.waiting), **told)
    for url, instance in instances.items():
        history.add("kept", url=url, ids=[name for note in instance.notes.pending() if (name := _inbound(note.body))])
    try:
        await _read(history, store)
    except StoreUnavailable as error:
        history.add("unreadable", why=str(error))


async def _list(history: OutsideHistory, network: SimulatedNetwork, url: str) -> None:
    asked = SimulatedRequest("GET", f"/api/sessions?api_key={API_KEY.replace(' ', '%20')}", {}, b"")
    reply = await network.ask("observer", url, asked, timeout_s=_WITHIN_S)
    if isinstance(reply, Reply) and reply.status == 200:
        rows = msgspec.json.decode(reply.body)["sessions"]
        history.add("listed", url=url, sessions={row["session_id"]: [row["status"], row["epoch"]] for row in rows})
    else:
        history.add("listed", url=url, sessions=None)


async def _list_theirs(history: OutsideHistory, network: SimulatedNetwork, url: str) -> None:
    asked = SimulatedRequest("GET", "/api/sessions?all=true", {"x-api-key": API_KEY}, b"")
    reply = await network.ask("observer", url, asked, timeout_s=_WITHIN_S)
    rows = msgspec.json.decode(reply.body) if isinstance(reply, Reply) and reply.status == 200 else []
    said = {"WORKING": "connected"}
    history.add("listed", url=url, sessions={row["name"]: [said.get(row["status"], "down"), None] for row in rows})


async def _read(history: OutsideHistory, store: Store) -> None:
    """What the API would tell."""
    database = Reached(store, "observer")
    directory = SqlDirectory(database, LocalNotices(), VirtualClock())
    for account in await directory.accounts(None, Page(0, 10_000)):
        placement = account.placement
        history.add(
            "placed",
            session=account.session_id,
            url=placement.instance_url,
            epoch=placement.epoch,
            state=placement.state.value,
            status=account.status.value,
        )
    for event in await SqlEvents(database, LocalNotices()).page(None, Page(0, 100_000), kind="message_received"):
        history.add("stored", id=event.id, session=event.session_id, data=event.payload)
    for record in await SqlMessages(database).messages(_WORKSPACE, before=None, limit=100_000):
        history.add(
            "recorded",
            uuid=record.uuid,
            id=record.message_id,
            state=record.state.value,
            reason=record.reason,
            text=record.text,
            batch=record.batch_id,
        )
    history.add("kept", url="the vault", ids=await database.read(_untold))
    for what, facts in await database.read(_told_of):
        history.add(what, **facts)
    for move in await directory.moves(None, Page(0, 100_000)):
        history.add("moved", session=move.session_id, kind=move.kind.value, epoch=move.epoch, reason=move.reason)


def _untold(connection: Connection) -> list[str]:
    """What came in, and no listener has yet."""
    return list(connection.scalars(select(inbox.c.message_id).where(inbox.c.told_at.is_(None))))


def _told_of(connection: Connection) -> list[tuple[str, dict[str, Any]]]:
    """Events that customers are told of, what became of each delivery, and how batches stand."""
    told = select(events).where(events.c.type.is_not(None)).order_by(events.c.sequence)
    hosts = {row.id: urlsplit(row.url).hostname for row in connection.execute(select(endpoints))}
    seen: list[tuple[str, dict[str, Any]]] = [
        ("event", {"id": row.id, "type": row.type, "session": row.session_id, "uuid": row.payload.get("message_uuid")})
        for row in connection.execute(told)
    ]
    for row in connection.execute(select(deliveries).order_by(deliveries.c.id)):
        due = row.due_at.timestamp() - STARTED_AT.timestamp()
        facts = {"where": hosts[row.endpoint_id], "id": row.event_id, "state": row.state, "due_s": due}
        seen.append(("delivery", facts | {"lane": row.lane, "place": row.event_sequence}))
    stand = connection.execute(select(batches).order_by(batches.c.id))
    return seen + [("batch", {"id": row.id, "state": row.state, "messages": row.messages}) for row in stand]


def _inbound(body: bytes) -> str | None:
    """Which message a notification tells of, if it tells of one."""
    said = msgspec.json.decode(body)
    name = said["data"].get("message", {}).get("id") if said["event"] == "message_received" else None
    return str(name) if name else None
