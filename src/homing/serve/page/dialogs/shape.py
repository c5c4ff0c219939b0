"""What a dialog is made of, and what becomes of it for whoever may not act."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from homing.model.directory.access import Scope
from homing.model.fleet import MoveKind
from homing.serve.page import words
from homing.serve.page.viewer import Viewer

BLOCKERS_NAMED = 8
FLEET = "The fleet is for an operator's key, which has scope admin and belongs to no workspace."


@dataclass(frozen=True, slots=True)
class Dialog:
    """One dialog. `forbidden` is why it may not be done: then there is no button, and that stands in its place.

    `picks` are parts of the body that are chosen: name, label, what there is to choose; an empty choice is left out.
    `leads` is where its answer's `id` is looked at.
    `tells` are parts of the API's answer that are shown once it is done, each with what it is called.
    """

    title: str
    text: str
    button: str
    path: str
    command: str
    figures: Sequence[tuple[str, str, str]] = ()
    places: Sequence[tuple[str, str, str]] = ()
    blockers: Sequence[tuple[str, str]] = ()
    choices: Sequence[tuple[str, str]] = ()
    picks: Sequence[tuple[str, str, Sequence[tuple[str, str]]]] = ()
    notice: str = ""
    forbidden: str = ""
    body: str = "{}"
    method: str = "POST"
    tells: Sequence[tuple[str, str]] = ()
    leads: str = ""
    back: str = "/instances"


def offered(viewer: Viewer, ask: Dialog, needs: Scope = Scope.ADMIN) -> dict[str, Any]:
    """The dialog for who looks: without its button, and with why, where the key or the database does not allow it."""
    if not viewer.has(needs):
        forbidden = f"Your key may look, and not act; this needs a key with scope {needs}."
        ask = Dialog(ask.title, ask.text, ask.button, ask.path, ask.command, forbidden=forbidden, back=ask.back)
    elif viewer.live.directory_away is not None:
        forbidden = "The database is away, and nothing can be changed until it is back."
        ask = Dialog(ask.title, ask.text, ask.button, ask.path, ask.command, forbidden=forbidden, back=ask.back)
    return {"template": "dialog", "ask": ask}


def gap_of(viewer: Viewer) -> tuple[str, str]:
    """How long planned moves took of late."""
    took = [
        move.duration_ms / 1000
        for move in viewer.live.moves_of(viewer.scope)
        if move.kind is MoveKind.MIGRATION and move.duration_ms is not None
    ]
    if not took:
        return "–", "no planned move was measured yet; sends wait"
    return words.took(round(1000 * median(took))), f"median of {words.many(len(took), 'move')}; sends wait"


def named(phones: Sequence[str]) -> str:
    more = f" and {len(phones) - 4:,} more" if len(phones) > 4 else ""
    return ", ".join(phones[:4]) + more
