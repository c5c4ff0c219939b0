"""Jobs that look for messages of unknown outcome in their chats: entered in the transaction that says that they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from homing.decide.sending.history import KIND, LOOKED_FOR_AFTER_S
from homing.model.fleet import WorkspaceId
from homing.model.sends.history import HandOver
from homing.model.work import NewJob
from homing.ports import Notice
from homing.store.db.database import Database
from homing.store.work import jobs as work


@dataclass(frozen=True, slots=True)
class LookedFor:
    """A message that is unknown from now on, and when it may have left."""

    uuid: str
    workspace_id: WorkspaceId
    given: HandOver


def look_for(connection: Connection, database: Database, messages: Sequence[LookedFor]) -> list[Notice]:
    """Have their chats looked at. The notices are to be staged by the caller."""
    if not messages:
        return []
    made = work.enqueue(connection, database, [_job(each) for each in messages])
    return made.notices


def _job(message: LookedFor) -> NewJob:
    given = message.given
    payload = {"message": message.uuid, "since": _written(given.since), "until": _written(given.until)}
    share = f"workspace {message.workspace_id}"
    return NewJob(KIND, payload, dedup=message.uuid, after_s=LOOKED_FOR_AFTER_S[0], share=share)


def _written(moment: datetime) -> str:
    return moment.isoformat()
