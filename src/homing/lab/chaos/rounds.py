"""One fault, once: played on a fleet under load, and what came of it."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from homing.demo.plan import Unworkable
from homing.demo.population import DemoAccount
from homing.lab.chaos import facts
from homing.lab.chaos.client import PAUSE_MAX_S, AskedMessage
from homing.lab.chaos.faults.kind import FaultKind, Struck
from homing.lab.chaos.stage import Stage

SPEAKERS_MAX = 100
"""Of those that a fault strikes, as many say something at once."""
TALKERS = 10
TALKS_EVERY_S = 0.05
HASTY_S = 0.3
"""How long, about, one pauses who wants to know when all is well again."""
KNOCKS = 5
WHOLE_WITHIN_S = 60.0
LOOK_EVERY_S = 0.5
KNOCK_WITHIN_S = 3.0
_SETTLED_S = 0.3


@dataclass(slots=True)
class Played:
    """What came of one fault. Times in seconds.

    `recovery`: from the fault (or its end) until each session that it struck had said something. `wrong` is what broke
    a promise, in words.
    """

    kind: str
    number: int
    victim: str
    began_s: float
    recovery: list[float] = field(default_factory=list)
    first_answers: list[float] = field(default_factory=list)
    """How long the requests took that were answered 200 at first."""
    whole_after_s: float | None = None
    ended_s: float = 0.0
    moves: int = 0
    false_moves: int = 0
    wrong: list[str] = field(default_factory=list)


class Round:
    """Plays one fault."""

    def __init__(self, stage: Stage, kind: FaultKind, number: int) -> None:
        self._stage, self._kind, self._number = stage, kind, number
        self._healed_s: float | None = None
        self._over_s = 0.0
        self._enough = asyncio.Event()

    async def play(self) -> Played:
        """From a fleet that is whole to one that is whole again."""
        stage, kind = self._stage, self._kind
        victim, struck = await self._victim()
        newest = await facts.newest_move(stage)
        speakers = self._speakers(struck)
        played = Played(kind.name, self._number, victim, time.monotonic())
        began_s = played.began_s
        sayings = [self._talk(speaker) for speaker in speakers[:TALKERS]] if kind.talks else []
        await kind.inflict(stage, victim)
        sayings += [] if kind.talks else [self._say(speaker) for speaker in speakers]
        knocks = [self._knock(victim, session, struck[session]) for session in list(struck)[:KNOCKS]]
        try:
            if kind.loses:
                await asyncio.wait(sayings, timeout=WHOLE_WITHIN_S)
            await self._hold(played, began_s + kind.holds_s)
        finally:
            healing_s = time.monotonic()
            await kind.heal(stage, victim)
            self._over_s = time.monotonic()
            self._healed_s = self._over_s if kind.from_healing else healing_s
            self._enough.set()
        fresh = [self._say(speaker, pause_max_s=HASTY_S) for speaker in speakers] if kind.anew else []
        whole_s = asyncio.create_task(self._until_whole(played))
        said = [await saying for saying in sayings]
        said_anew = [await saying for saying in fresh]
        await whole_s
        await self._look_after(played, victim, struck, knocks)
        self._measure(played, said_anew if kind.anew else said)
        await self._count_moves(played, newest, victim)
        await kind.afterwards(stage, victim)
        played.ended_s = time.monotonic()
        return played

    # --- before ---------------------------------------------------------------------------------------------------

    async def _victim(self) -> tuple[str, dict[str, int]]:
        """Who is struck, and the epochs of the sessions that are struck with it."""
        stage = self._stage
        if self._kind.struck is Struck.INSTANCE:
            url, placed = await facts.fullest(stage)
            return url, {session: at.epoch for session, at in placed.items()}
        victim = stage.chance.choice(stage.gateways) if self._kind.struck is Struck.GATEWAY else "all"
        return victim, {session: at.epoch for session, at in (await facts.placements(stage)).items()}

    def _speakers(self, struck: dict[str, int]) -> list[DemoAccount]:
        residents = [resident for resident in self._stage.residents if resident.session_id in struck]
        self._stage.chance.shuffle(residents)
        return residents[:SPEAKERS_MAX]

    def _say(self, resident: DemoAccount, *, pause_max_s: float = PAUSE_MAX_S) -> "asyncio.Task[AskedMessage]":
        return asyncio.create_task(
            self._stage.client.say(resident, f"{self._kind.name} {self._number}", pause_max_s=pause_max_s)
        )

    def _talk(self, resident: DemoAccount) -> "asyncio.Task[AskedMessage]":
        """One thing after the other until the fault is over; of all, what took longest."""
        return asyncio.create_task(self._talking(resident))

    async def _talking(self, resident: DemoAccount) -> AskedMessage:
        said: list[AskedMessage] = []
        while not self._enough.is_set():
            said.append(await self._stage.client.say(resident, f"{self._kind.name} {self._number}"))
            await asyncio.sleep(TALKS_EVERY_S)
        return max(said, key=lambda message: message.took_s)

    def _knock(self, victim: str, session: str, epoch: int) -> "asyncio.Task[int] | None":
        """A message under the old epoch that waits in the instance's sockets until it is well again."""
        if not self._kind.knocks:
            return None
        text = self._knocking(session, "before")
        return asyncio.create_task(self._stage.knock(victim, session, epoch, text, WHOLE_WITHIN_S))

    def _knocking(self, session: str, when: str) -> str:
        return f"{self._kind.name} {self._number}, knocking {when}, for {session}"

    async def _hold(self, played: Played, until_s: float) -> None:
        """Let the fault last, and look whether sessions live through it."""
        down = 0
        while (left_s := until_s - time.monotonic()) > 0:
            if self._kind.keeps:
                down = max(down, await facts.down_now(self._stage))
            await asyncio.sleep(min(left_s, LOOK_EVERY_S))
        if down:
            played.wrong.append(f"{down} sessions lost their connection")

    # --- after ----------------------------------------------------------------------------------------------------

    async def _look_after(
        self, played: Played, victim: str, struck: dict[str, int], knocks: Sequence["asyncio.Task[int] | None"]
    ) -> None:
        stage = self._stage
        sessions = await self._outdated(struck) if self._kind.knocks else []
        for session in sessions:
            text = self._knocking(session, "after")
            status = await stage.knock(victim, session, struck[session], text, KNOCK_WITHIN_S)
            if status == 200:
                played.wrong.append(f"{victim} took a message for {session} under its old epoch")
        for session, knock in zip(struck, knocks, strict=False):
            if knock is not None and await knock == 200 and session in sessions:
                played.wrong.append(f"{victim} took a message that had waited, under its old epoch")
        if sessions:
            await asyncio.sleep(_SETTLED_S)
            stage.judge.read()
            texts = [self._knocking(session, when) for session in sessions for when in ("before", "after")]
            played.wrong += [f"it was said under an old epoch: {text}" for text in texts if stage.judge.delivered[text]]

    async def _outdated(self, struck: dict[str, int]) -> list[str]:
        """The sessions to knock for: those that somebody was given since. Of the others the epoch is no old one."""
        try:
            placed = await facts.placements(self._stage)
        except Unworkable:
            return []  # that no gateway answers is told by what the fleet is waited for
        knocked = list(struck)[:KNOCKS]
        return [session for session in knocked if session in placed and placed[session].epoch > struck[session]]

    async def _until_whole(self, played: Played) -> None:
        """From the fault's end on."""
        amiss = await facts.until_whole(self._stage, WHOLE_WITHIN_S)
        played.whole_after_s = time.monotonic() - self._over_s
        within_s = self._kind.whole_within_s
        if amiss is not None:
            played.wrong.append(f"the fleet was not whole within {WHOLE_WITHIN_S:.0f} s: {amiss}")
        elif within_s is not None and played.whole_after_s > within_s:
            played.wrong.append(f"the fleet was whole again after {played.whole_after_s:.1f} s, and not {within_s:g} s")

    def _measure(self, played: Played, said: Sequence[AskedMessage]) -> None:
        kind = self._kind
        from_s = self._healed_s if kind.from_healing and self._healed_s is not None else played.began_s
        unsent: dict[str, list[AskedMessage]] = defaultdict(list)
        for message in said:
            if message.is_unknown and kind.doubts:
                continue
            if not message.was_sent or message.over_s is None:
                unsent[message.shown(-1)].append(message)
                continue
            played.recovery.append(message.took_s if kind.talks else max(0.0, message.over_s - from_s))
            if message.answers[0].is_sent:
                played.first_answers.append(message.answers[0].took_s)
        played.wrong += [
            f"{len(each)} of {len(said)} sessions were answered {answer}; one is {each[0].session_id}: {each[0].text}"
            for answer, each in unsent.items()
        ]
        late = [took_s for took_s in played.recovery if took_s > kind.within_s]
        if late:
            played.wrong.append(f"{len(late)} sessions needed up to {max(late):.1f} s, and not {kind.within_s:g} s")

    async def _count_moves(self, played: Played, newest: int, victim: str) -> None:
        moves = [move for move in await facts.moves_since(self._stage, newest) if move.changed_the_world]
        played.moves = len(moves)
        often = Counter(move.session_id for move in moves)
        if self._kind.once and (twice := [session for session, times in often.items() if times > 1]):
            played.wrong.append(f"{len(twice)} sessions were moved more than once, {twice[0]} among them")
        if self._kind.may_move:
            return
        false = [move for move in moves if not self._kind.loses or move.from_url != victim]
        played.false_moves = len(false)
        played.wrong += [f"{move.session_id} was moved: {move.reason}" for move in false[:3]]
