"""Batches that are handed in and sent while parts of the fleet are struck at random, one after the other."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from homing.demo.plan import Unworkable
from homing.lab.chaos import facts
from homing.lab.chaos.batch_judge import judged, text_of
from homing.lab.chaos.faults.kind import FaultKind, Struck
from homing.lab.chaos.results import Results
from homing.lab.chaos.rounds import Played
from homing.lab.chaos.stage import Stage

LINES_MAX = 10_000
"""Of one batch."""
BATCHES_MIN = 5
CONTACTS = 10
"""Each account writes to so many."""
PATIENCE_S = 600.0
"""A batch that no gateway took in this time is given up."""
STUCK_S = 240.0
"""If for so long nothing more was sent, nothing more will be."""
WHOLE_WITHIN_S = 120.0
LOOK_EVERY_S = 1.0
STRIKES = (
    "kill",
    "terminate",
    "freeze",
    "stall",
    "gateway-kill",
    "gateway-freeze",
    "gateways-away",
    "store-restart",
    "store-crash",
    "store-away",
)
"""What strikes where nothing else is asked for."""
_HOLDS_S, _PAUSE_S = (1.0, 6.0), (1.0, 5.0)

Tell = Callable[[str], None]


async def play_batches(stage: Stage, kinds: Sequence[FaultKind], messages: int, results: Results, tell: Tell) -> None:
    """Until every message has ended, or nothing goes any more. Raises Unworkable."""
    load = BatchLoad(stage, messages)
    striking = asyncio.create_task(_strike(stage, kinds, load, results, tell))
    try:
        await load.handed_in()
        await load.until_over(tell)
    finally:
        load.over.set()
        await striking
    if (amiss := await facts.until_whole(stage, WHOLE_WITHIN_S)) is not None:
        results.broke_off.append(f"the fleet was not whole again in the end: {amiss}")
    await load.until_over(tell)
    results.batches = judged(await load.shown(), load.lines, stage.demo.folder.ledger)


class BatchLoad:
    """All batches of a run, handed in one after the other."""

    def __init__(self, stage: Stage, messages: int) -> None:
        self._stage = stage
        self.lines = messages
        self.batches: list[str] = []
        self.over = asyncio.Event()

    async def handed_in(self) -> None:
        """Every batch was accepted. Raises Unworkable."""
        size = max(1, min(LINES_MAX, self.lines // BATCHES_MIN))
        for number, first in enumerate(range(0, self.lines, size)):
            lines = min(size, self.lines - first)
            self.batches.append(await self._hand_in(number, "\n".join(self._lines(number, lines)).encode()))

    async def _hand_in(self, number: int, raw: bytes) -> str:
        """Again and again under one key until it is answered: what the answers say counts, and not what came of it."""
        sender = self._stage.residents[0]
        path = f"/api/v1/messages/bulk?workspace_id={sender.workspace_id}&account_uuid={sender.uuid}"
        until_s, turn = time.monotonic() + PATIENCE_S, number
        while True:
            answer = await self._stage.client.post(
                path, raw, "application/x-ndjson", key=f"chaos {number}", gateway=turn
            )
            if answer.status == HTTPStatus.ACCEPTED:
                return str(answer.document["batch_id"])
            if time.monotonic() > until_s:
                raise Unworkable(f"No gateway took batch {number} within {PATIENCE_S:.0f} s: {answer}")
            turn += 1
            await asyncio.sleep(0.3)

    def _lines(self, batch: int, number: int) -> Iterator[str]:
        residents, contacts = self._stage.residents, self._stage.demo.population.contacts[:CONTACTS]
        for line in range(number):
            account, contact = residents[line % len(residents)], contacts[line // len(residents) % len(contacts)]
            body = {"account_uuid": account.uuid, "phone": contact.phone, "message": text_of(batch, line)}
            yield json.dumps(body)

    async def until_over(self, tell: Tell) -> None:
        """Until nothing waits, or nothing has ended for a long time."""
        ended, since_s = -1, time.monotonic()
        while True:
            try:
                shown = await self.shown()
            except Unworkable:
                shown = []
            if shown and not any(each["waiting"] for each in shown):
                return
            now_ended = sum(each["messages"] - each["waiting"] for each in shown)
            tell(f"{now_ended:,} of {self.lines:,} messages have ended")
            if now_ended > ended:
                ended, since_s = now_ended, time.monotonic()
            if time.monotonic() - since_s > STUCK_S:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def shown(self) -> list[dict[str, Any]]:
        """All batches, as a gateway shows them. Raises Unworkable."""
        return [await self._stage.api(f"/batches/{each}") for each in self.batches]


async def _strike(stage: Stage, kinds: Sequence[FaultKind], load: BatchLoad, results: Results, tell: Tell) -> None:
    """One fault after the other, until the load is over; each is healed before the next."""
    chance, number = stage.chance, 0
    while not load.over.is_set():
        number += 1
        kind = chance.choice(list(kinds))
        tell(f"{number}: {kind.does}")
        played = Played(kind.name, number, _victim(stage, kind), time.monotonic())
        try:
            await _struck(stage, kind, played.victim)
        except Unworkable as problem:
            tell(f"{number}: {problem}; the next one waits until the fleet is whole")
            if (amiss := await facts.until_whole(stage, WHOLE_WITHIN_S)) is not None:
                results.broke_off.append(f"no fault came after {number}: {problem}; {amiss}")
                return
        played.ended_s = time.monotonic()
        results.add(played)
        await asyncio.sleep(chance.uniform(*_PAUSE_S))


async def _struck(stage: Stage, kind: FaultKind, victim: str) -> None:
    """One fault and its end. Raises Unworkable where something does not come back in the time that a start has."""
    await kind.inflict(stage, victim)
    try:
        await asyncio.sleep(kind.holds_s or stage.chance.uniform(*_HOLDS_S))
    finally:
        await kind.heal(stage, victim)
    await kind.afterwards(stage, victim)


def _victim(stage: Stage, kind: FaultKind) -> str:
    match kind.struck:
        case Struck.INSTANCE:
            return stage.chance.choice(stage.instances)
        case Struck.GATEWAY:
            return stage.chance.choice(stage.gateways)
        case Struck.ALL:
            return "all"
