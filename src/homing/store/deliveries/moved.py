"""Telling customers where a session is, when it is somewhere else than before.

Only workspaces with endpoints are told; whoever looks for moves finds them all in their own log.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from homing.model.deliveries.deliveries import Fact
from homing.model.deliveries.endpoints import EndpointState
from homing.model.fleet import SessionId
from homing.model.notices import Notice
from homing.store.db.database import Database
from homing.store.db.schema.deliveries import endpoints
from homing.store.db.schema.tables import moves
from homing.store.deliveries.telling import append
from homing.store.directory.placements import Rebound


def tell_moved(connection: Connection, database: Database, rebound: Sequence[Rebound]) -> list[Notice]:
    """The last thing in the transaction that changed these records. The notices are the caller's to stage."""
    listening = set(connection.scalars(_listening())) if rebound else set()
    told = [each for each in rebound if each.workspace_id in listening]
    if not told:
        return []
    at, logged = database.now(connection), _logged(connection, [each.change.session_id for each in told])
    facts = [_fact(each, logged.get(each.change.session_id, {}), at) for each in told]
    return append(connection, database, [fact for fact in facts if fact.payload["from"] != fact.payload["to"]])


def _listening() -> Any:
    return select(endpoints.c.workspace_id).where(endpoints.c.state == EndpointState.ENABLED.value).distinct()


def _logged(connection: Connection, sessions: Sequence[SessionId]) -> dict[str, Mapping[str, Any]]:
    """The newest entry of each session in the log of moves."""
    columns = (moves.c.session_id, moves.c.from_url, moves.c.reason, moves.c.kind)
    wanted = select(*columns).where(moves.c.session_id.in_(sessions)).order_by(moves.c.id)
    return {
        row.session_id: {"from": row.from_url, "reason": row.reason, "kind": row.kind}
        for row in connection.execute(wanted)
    }


def _fact(rebound: Rebound, logged: Mapping[str, Any], at: Any) -> Fact:
    change = rebound.change
    return Fact(
        id=f"moved_{change.session_id}_{change.epoch}_{at:%Y%m%d%H%M%S%f}",
        kind="session_moved",
        workspace_id=rebound.workspace_id,
        at=at,
        payload={
            "from": logged.get("from"),
            "to": change.instance_url,
            "epoch": change.epoch,
            "kind": logged.get("kind", change.kind.value),
            "why": logged.get("reason", change.reason),
        },
        session_id=change.session_id,
        account_uuid=rebound.account_uuid,
    )
