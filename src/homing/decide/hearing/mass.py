"""When many sessions go deaf together, the fault is more likely what they share: then none of them is touched."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from homing.model.fleet import SessionId

AT_LEAST = 5
SHARE = 0.3
"""This part of all sessions of one engine version or exit address, and so many of them, is too many at once."""
FLEET_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Shared:
    """One judged session, and what it shares with others: `engine`, `exit` and `instance`, None where not known.

    `canary`: its instance is one on which new things are tried first.
    """

    session_id: SessionId
    deaf: bool
    engine: str | None = None
    exit: str | None = None
    instance: str | None = None
    canary: bool = False


def held(judged: Sequence[Shared]) -> dict[SessionId, str]:
    """The deaf sessions that must not be touched, each with why.

    Those on a canary instance are touched all the same, for what helps there helps the others. A whole instance that
    goes deaf alone is not held: it may need just that.
    """
    of_all = _too_many("sessions of the fleet", [each.deaf for each in judged], FLEET_SHARE)
    found: dict[SessionId, str] = {}
    engines, exits = _groups(judged, "engine"), _groups(judged, "exit")
    for each in judged:
        why = of_all or engines.get(each.engine or "") or exits.get(each.exit or "")
        if each.deaf and why is not None and not each.canary:
            found[each.session_id] = why
    return found


def _groups(judged: Sequence[Shared], by: str) -> dict[str, str]:
    members: dict[str, list[Shared]] = {}
    for each in judged:
        name = each.engine if by == "engine" else each.exit
        if name is not None:
            members.setdefault(name, []).append(each)
    told = {"engine": "sessions of engine version", "exit": "sessions behind exit"}[by]
    found = {}
    for name, group in sorted(members.items()):
        if _on_one_instance(group):
            continue
        why = _too_many(f"{told} {name}", [each.deaf for each in group], SHARE)
        if why is not None:
            found[name] = why
    return found


def _on_one_instance(group: Sequence[Shared]) -> bool:
    """All the deaf ones are on one instance, and others of the group are elsewhere: the instance is sick."""
    deaf = Counter(each.instance for each in group if each.deaf)
    return len(deaf) == 1 and len({each.instance for each in group}) > 1


def _too_many(of_what: str, deaf: Sequence[bool], share: float) -> str | None:
    count = sum(deaf)
    if count < AT_LEAST or count <= share * len(deaf):
        return None
    return f"{count} of {len(deaf)} {of_what} went deaf together: more likely it is what they share"
