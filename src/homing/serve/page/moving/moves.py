"""The log of moves, as the page shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from homing.model.fleet import Move, MoveKind, PlacementState, SessionId
from homing.serve.page import words
from homing.serve.page.viewer import Viewer

PAGE = 100


@dataclass(frozen=True, slots=True)
class ShownMove:
    """One line."""

    id: int
    at: datetime
    account_id: int
    phone: str
    from_name: str
    to_name: str
    kind: str
    reason: str
    fence: str | None
    epoch: int
    moving: bool
    took: str
    steps: dict[str, int]


def shown_moves(viewer: Viewer, moves: Sequence[Move]) -> list[ShownMove]:
    return [_shown(viewer, move) for move in moves]


def _shown(viewer: Viewer, move: Move) -> ShownMove:
    return ShownMove(
        id=move.id,
        at=move.at,
        account_id=move.account_id,
        phone=viewer.phone_of(move.session_id),
        from_name=viewer.short(move.from_url),
        to_name=viewer.short(move.to_url),
        kind=move.kind.value,
        reason=move.reason,
        fence=move.fence,
        epoch=move.epoch,
        moving=_is_under_way(viewer, move),
        took=words.took(move.duration_ms),
        steps=move.steps,
    )


def _is_under_way(viewer: Viewer, move: Move) -> bool:
    """A grant that has not arrived yet, and that nothing came after."""
    account = viewer.account(SessionId(move.session_id))
    return (
        move.duration_ms is None
        and move.kind is not MoveKind.REDISCOVERY
        and account is not None
        and account.placement.state is PlacementState.MOVING
        and account.placement.epoch == move.epoch
    )


async def context(viewer: Viewer, kind: str | None) -> dict[str, Any]:
    """The newest moves, of one kind if that is asked for."""
    kinds = [("", "All")] + [(each.value, words.spaced(each.value).capitalize()) for each in MoveKind]
    found = viewer.live.moves_of(viewer.scope)
    wanted = [move for move in found if not kind or move.kind.value == kind]
    return {
        "moves": shown_moves(viewer, wanted[:PAGE]),
        "total": len(wanted),
        "kind": kind or "",
        "kinds": [
            {"kind": each, "name": name, "number": sum(not each or move.kind.value == each for move in found)}
            for each, name in kinds
        ],
    }
