"""The state as a stream: a snapshot, then what changes. Every change is put into words once for each workspace that
somebody watches, and the same bytes go to all who watch it.

A frame's id is the gateway's boot and a number. Whoever resumes with one that is still known is told what came since;
anybody else is told everything again, and why.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime

import msgspec

from homing.decide.knowledge.standing import Standing
from homing.flows.background.downtime import DowntimeBook
from homing.model.fleet import SessionId
from homing.ports import StoreUnavailable
from homing.serve.api.fleet.moves import move_view
from homing.serve.feed import StreamPlace
from homing.serve.gateway import Gateway
from homing.serve.state.book import Scope
from homing.serve.state.finding import worst_first
from homing.serve.state.live import Change, LiveState
from homing.serve.state.rows import AlertRow, Delta, InstanceRow, SessionCounts, SessionRow, Snapshot, counts_row

FRAMES_KEPT = 500
BYTES_KEPT = 8_000_000
SESSIONS_TOLD = 1_000
MOVES_TOLD = 50
LOOK_EVERY_S = 0.5
"""So soon a stream ends after its key did."""
HEARTBEAT_S = 5.0
TOLD_WITHIN_S, WAVES = 0.1, 20
"""All who watch are told within this time, in so many waves: whoever sends has a turn between any two."""
FORGOTTEN_AFTER_S = 300.0
_encode = msgspec.json.Encoder().encode


class Channel:
    """What those who watch one workspace, or everything, are told."""

    def __init__(self, scope: Scope, live: LiveState, number: int) -> None:
        self._scope, self._live = scope, live
        self._frames: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._complete_from = number
        """Whoever has this frame or a later one can go on from there."""
        self._snapshot: tuple[int, str, bytes] | None = None
        self._instances: dict[str, InstanceRow] = {row.url: row for row in live.instances(scope)}
        self._alerts: list[AlertRow] = live.alerts(scope)
        self._counts = self._counted()
        self._brake, self._directory_away = live.brake(scope), live.directory_away
        self._automation = live.automation(scope)
        self.news = asyncio.Event()
        self.watchers, self.left_s = 0, time.monotonic()

    def tell(self, change: Change, boot: str, number: int, at: datetime) -> None:
        """Put a change into words, if it concerns those who watch here."""
        delta = self._delta(change, number, at)
        if delta is None:
            return
        frame = b"id: %s-%d\nevent: delta\ndata: %s\n\n" % (boot.encode(), number, _encode(delta))
        self._frames.append((number, frame))
        self._bytes += len(frame)
        while len(self._frames) > FRAMES_KEPT or self._bytes > BYTES_KEPT:
            dropped, old = self._frames.popleft()
            self._complete_from, self._bytes = dropped, self._bytes - len(old)
        self.news.set()
        self.news = asyncio.Event()

    def since(self, number: int) -> list[tuple[int, bytes]] | None:
        """The frames behind this one; None if some of them are not kept any more."""
        if number < self._complete_from:
            return None
        found = []
        for frame in reversed(self._frames):
            if frame[0] <= number:
                break
            found.append(frame)
        return found[::-1]

    def snapshot(self, boot: str, number: int, at: datetime, why: str) -> bytes:
        if self._snapshot is None or self._snapshot[:2] != (number, why):
            told = _encode(self._everything(number, at, why))
            frame = b"id: %s-%d\nevent: snapshot\ndata: %s\n\n" % (boot.encode(), number, told)
            self._snapshot = (number, why, frame)
        return self._snapshot[2]

    def _everything(self, number: int, at: datetime, why: str) -> Snapshot:
        live, scope = self._live, self._scope
        worst = worst_first(live.book, scope, 0, SESSIONS_TOLD, Standing)
        return Snapshot(
            version=number,
            why=why,
            at=at,
            instances=list(self._instances.values()),
            sessions=[row for session in worst if (row := live.book.row(session)) is not None],
            session_counts=self._counts,
            moves=[move_view(move) for move in live.moves_of(scope)[:MOVES_TOLD]],
            brake=self._brake,
            automation=self._automation,
            alerts=self._alerts,
            directory_away=self._directory_away,
        )

    def _delta(self, change: Change, number: int, at: datetime) -> Delta | None:
        live, scope = self._live, self._scope
        changed, gone = self._instances_of(change)
        alerts, counts, brake = self._alerts_of(change), self._counted(), live.brake(scope)
        automation = live.automation(scope)
        delta = Delta(
            version=number,
            at=at,
            instances=changed,
            instances_gone=gone,
            sessions=self._rows(change.sessions),
            sessions_gone=[session for session, owner in change.gone.items() if scope in (None, owner)],
            session_counts=counts if counts != self._counts else None,
            moves=[move_view(move) for move in change.moves if scope in (None, move.workspace_id)],
            brake=brake if brake != self._brake else None,
            automation=automation if automation != self._automation else None,
            alerts=alerts if alerts != self._alerts else None,
            directory_away=live.directory_away if live.directory_away != self._directory_away else msgspec.UNSET,
        )
        self._alerts, self._counts = alerts, counts
        self._brake, self._automation, self._directory_away = brake, automation, live.directory_away
        return delta if delta != Delta(version=number, at=at) else None

    def _instances_of(self, change: Change) -> tuple[list[InstanceRow], list[str]]:
        """The rows that are new, and what is not told of any more. Looks at those alone of which something changed."""
        changed, gone = [], []
        for url in sorted(change.instances):
            row, before = self._live.instance(url, self._scope), self._instances.get(url)
            if row is None and before is not None:
                del self._instances[url]
                gone.append(str(url))
            elif row is not None and row != before:
                self._instances[url] = row
                changed.append(row)
        return changed, gone

    def _alerts_of(self, change: Change) -> list[AlertRow]:
        """A workspace's are those about its sessions, which may have become its own."""
        whose = self._scope is not None and self._live.any_alerted([*change.sessions, *change.gone])
        return self._live.alerts(self._scope) if change.alerts or whose else self._alerts

    def _rows(self, sessions: set[SessionId]) -> list[SessionRow]:
        rows = [row for session in sorted(sessions) if (row := self._live.book.row(session)) is not None]
        return [row for row in rows if self._scope in (None, row.workspace_id)]

    def _counted(self) -> SessionCounts:
        book = self._live.book
        return counts_row(book.counts(self._scope), book.by_standing(self._scope))


class Outages:
    """Tells the downtime ledger of every change; once, that everything was told."""

    def __init__(self, live: LiveState, downtime: DowntimeBook) -> None:
        self._live, self._downtime = live, downtime
        self._all_told = False

    def hear(self, change: Change) -> None:
        for session in change.gone:
            self._downtime.gone(session)
        book = self._live.book
        for session in change.sessions:
            account, known = book.account(session), book.known(session)
            if account is not None and known is not None:
                self._downtime.stands(account, *known)
        if self._live.known and not self._all_told:
            self._all_told = True
            self._downtime.all_told()


class StateFeed:
    """All channels, and the numbers of their frames."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.live = LiveState(gateway)
        self._outages = Outages(self.live, gateway.downtime)
        self._boot, self.version = gateway.entropy.token(6).hex(), 1
        self._channels: dict[Scope, Channel] = {}

    def start(self) -> None:
        """Begin to keep the state, if that has not begun."""
        self.live.start(self._changed)

    async def known(self) -> None:
        """Returns once the state is known, begun if it had to be. Raises StoreUnavailable if it cannot be had."""
        self.start()
        if not await self.live.until_known():
            raise StoreUnavailable(self.live.directory_away or "it is still being read")

    async def close(self) -> None:
        await self.live.close()

    async def stream(
        self, place: StreamPlace, scope: Scope, resumed: str | None, allowed: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        """Frames for as long as the watcher stays and is allowed to."""
        place.begun = True
        channel: Channel | None = None
        try:
            self.start()
            yield b"retry: 1000\n\n"
            while not await self.live.until_known(LOOK_EVERY_S) and self._goes_on(allowed):
                yield b": the directory is being read\n\n"
            channel = self._channel(scope)
            wave_s = TOLD_WITHIN_S * (channel.watchers % WAVES) / WAVES
            channel.watchers += 1
            told_s = time.monotonic()
            number, why = self._begin(channel, resumed)
            if why is not None:
                yield channel.snapshot(self._boot, number, self._gateway.clock.now(), why)
            while self._goes_on(allowed):
                news, frames = channel.news, channel.since(number)
                if frames is None:
                    number = self.version
                    yield channel.snapshot(self._boot, number, self._gateway.clock.now(), "too_slow")
                elif frames:
                    number, told_s = frames[-1][0], time.monotonic()
                    yield b"".join(frame for _, frame in frames)
                elif time.monotonic() - told_s >= HEARTBEAT_S:
                    told_s = time.monotonic()
                    yield b'event: beat\ndata: {"version":%d}\n\n' % number
                else:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_EVERY_S):
                            await news.wait()
                        await asyncio.sleep(wave_s)
        finally:
            self._gateway.feed.release(place)
            if channel is not None:
                channel.watchers, channel.left_s = channel.watchers - 1, time.monotonic()

    def _goes_on(self, allowed: Callable[[], bool]) -> bool:
        return allowed() and not self._gateway.feed.closed

    def _begin(self, channel: Channel, resumed: str | None) -> tuple[int, str | None]:
        """The frame to go on behind, and why everything has to be told first; None if it need not."""
        if resumed is None:
            return self.version, "new"
        number = self._number(resumed)
        if number is None:
            return self.version, "unknown_id"
        return (number, None) if channel.since(number) is not None else (self.version, "too_old")

    def _number(self, resumed: str | None) -> int | None:
        """The number of a frame of ours; None for anything else."""
        boot, _, digits = (resumed or "").partition("-")
        if boot != self._boot or not (digits.isascii() and digits.isdecimal() and len(digits) < 16):
            return None
        return int(digits) if int(digits) <= self.version else None

    def _channel(self, scope: Scope) -> Channel:
        channel = self._channels.get(scope)
        if channel is None:
            channel = self._channels[scope] = Channel(scope, self.live, self.version)
        return channel

    def _changed(self, change: Change) -> None:
        self._outages.hear(change)
        self.version += 1
        at, now_s = self._gateway.clock.now(), time.monotonic()
        for scope, channel in list(self._channels.items()):
            if not channel.watchers and now_s - channel.left_s > FORGOTTEN_AFTER_S:
                del self._channels[scope]
            else:
                channel.tell(change, self._boot, self.version, at)
