"""How the fleet stands: what the directory says, what the instances say, and whether the two agree."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homing.demo.plan import Unworkable
from homing.lab.chaos.stage import Stage

PAGE = 500
LOOK_EVERY_S = 0.1
_CHANGES_THE_WORLD = frozenset({"rehome", "migration", "take_back"})


@dataclass(frozen=True, slots=True)
class RecordedPlace:
    """Where the directory has a session."""

    session_id: str
    account_id: int
    url: str | None
    epoch: int
    state: str
    status: str


@dataclass(frozen=True, slots=True)
class Moved:
    """One line of the log of moves."""

    id: int
    kind: str
    session_id: str
    from_url: str | None
    to_url: str | None
    reason: str

    @property
    def changed_the_world(self) -> bool:
        return self.kind in _CHANGES_THE_WORLD


async def placements(stage: Stage) -> dict[str, RecordedPlace]:
    """All of them, by session."""
    found: dict[str, RecordedPlace] = {}
    after = 0
    while True:
        page = await stage.api(f"/accounts?limit={PAGE}&after={after}")
        for row in page["data"]:
            found[row["session_id"]] = RecordedPlace(
                row["session_id"], row["id"], row["instance_url"], row["epoch"], row["state"], row["status"]
            )
        if page.get("next") is None:
            return found
        after = page["next"]


async def fullest(stage: Stage) -> tuple[str, dict[str, RecordedPlace]]:
    """The instance with the most sessions, and those; of equals any."""
    on: dict[str, dict[str, RecordedPlace]] = defaultdict(dict)
    for session, placed in (await placements(stage)).items():
        if placed.url is not None:
            on[placed.url][session] = placed
    most = max(len(sessions) for sessions in on.values())
    url = stage.chance.choice(sorted(url for url, sessions in on.items() if len(sessions) == most))
    return url, on[url]


async def newest_move(stage: Stage) -> int:
    rows = (await stage.api("/moves?limit=1"))["data"]
    return int(rows[0]["id"]) if rows else 0


async def moves_since(stage: Stage, newest: int) -> list[Moved]:
    """The log of moves behind that one, newest first."""
    found: list[Moved] = []
    after = 0
    while True:
        page = await stage.api(f"/moves?limit={PAGE}&after={after}")
        rows = [row for row in page["data"] if row["id"] > newest]
        found += [_moved(row) for row in rows]
        if len(rows) < len(page["data"]) or page.get("next") is None:
            return found
        after = page["next"]


def _moved(row: Mapping[str, Any]) -> Moved:
    return Moved(row["id"], row["kind"], row["session_id"], row["from_url"], row["to_url"], row["reason"])


async def until_whole(stage: Stage, within_s: float) -> str | None:
    """Until every session is connected on exactly the instance that the directory names; what is amiss, if it stays."""
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            amiss = await _amiss(stage)
        except Unworkable as problem:
            amiss = str(problem)
        if amiss is None or time.monotonic() > deadline_s:
            return amiss
        await asyncio.sleep(LOOK_EVERY_S)


async def _amiss(stage: Stage) -> str | None:
    lists = dict(zip(stage.instances, await asyncio.gather(*map(stage.listed, stage.instances)), strict=True))
    silent = [url for url, rows in lists.items() if rows is None]
    if silent:
        return f"{silent[0]} does not answer"
    holders = Counter(session for rows in lists.values() for session in rows or {})
    twice = [session for session, count in holders.items() if count > 1]
    if twice:
        return f"{twice[0]} is held twice"
    for session, placed in (await placements(stage)).items():
        row = (lists.get(placed.url or "") or {}).get(session)
        if row is None:
            return f"{session} is not on {placed.url}, where the directory has it (epoch {placed.epoch})"
        if row.status != "connected" or row.epoch != placed.epoch or placed.state != "held":
            return (
                f"{session} is {row.status} at epoch {row.epoch} on {placed.url}, and {placed.state} at epoch "
                + str(placed.epoch)
            )
        if placed.status != "connected":
            return f"{session} is connected on {placed.url}, and {placed.status} in the directory"
    return None


async def down_now(stage: Stage) -> int:
    """How many sessions no instance has connected."""
    lists = await asyncio.gather(*map(stage.listed, stage.instances))
    up = {row.session_id for rows in lists for row in (rows or {}).values() if row.status == "connected"}
    return len(stage.residents) - len(up)
