"""The record follows what was observed: changed in the directory, counted and logged, in one place for all."""

from collections import Counter
from collections.abc import Sequence

import structlog

from homing.model.fleet import MoveKind, Rebinding, SessionId
from homing.ports import Directory, Meters

log = structlog.get_logger("homing")

LINES_MAX = 20
"""Of one correction. A sync may correct ten thousand sessions at once; its report names them."""


async def correct(
    directory: Directory, meters: Meters, changes: Sequence[Rebinding], *, run_id: str | None = None
) -> set[SessionId]:
    """Returns the sessions whose record was changed; the others' was changed before, or the vault knows better.

    The store announces what was changed.

    `run_id` is that of the look (send, report, sync, move) which found it, the same in the log and in the moves.
    Raises StoreUnavailable.
    """
    if not changes:
        return set()
    applied = await directory.rebind(changes, run_id=run_id)
    for kind, count in Counter(change.kind for change in applied).items():
        meters.moved(kind, count)
    for change in applied[:LINES_MAX]:
        _log(change, run_id)
    if len(applied) > LINES_MAX:
        log.warning("More records were corrected", sessions=len(applied) - LINES_MAX, run_id=run_id)
    return {change.session_id for change in applied}


def _log(change: Rebinding, run_id: str | None) -> None:
    """What an operator asked for is no surprise; what was found to be elsewhere is."""
    if change.kind is MoveKind.REDISCOVERY:
        say, what = log.warning, "Session rediscovered"
    else:
        say, what = log.info, "Session placed"
    say(
        what,
        session_id=change.session_id,
        old_url=change.expected.instance_url,
        new_url=change.instance_url,
        epoch=change.epoch,
        reason=change.reason,
        run_id=run_id,
    )
