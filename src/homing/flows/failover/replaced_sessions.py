"""A session whose connection a stranger replaced: taken back once, then left alone and reported.

Instances say so in their lists, which are read for many reasons. Whether it was a stranger, or the session's own next
holder, is judged by the record; two who replace each other in turn would go on for ever.
"""

import asyncio
from collections import OrderedDict
from typing import assert_never

import structlog

from homing.decide.moves import rules
from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.decide.moves.rules import LeaveIt, MovePolicy, Quarantine, TakeBack
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.moves.requests import MoveRequests
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import Account, Epoch, InstanceUrl, ListedSession, MoveKind, SessionId, SessionStatus
from homing.ports import Clock, Directory, Page, StoreUnavailable

log = structlog.get_logger("homing")

REPLACED = "replaced"
"""What our instance gives as a session's error when WhatsApp replaced its connection by another one."""
REMEMBERED_MAX = 10_000
AGAIN_AFTER_S = 1.0


class TakeBacks:
    """Hears of replaced sessions, and follows each once."""

    def __init__(
        self,
        directory: Directory,
        wishes: MoveRequests,
        clock: Clock,
        policy: MovePolicy,
        alerts: AlertBook | None = None,
    ) -> None:
        self._directory, self._wishes, self._clock, self._policy = directory, wishes, clock, policy
        self._alerts = alerts or AlertBook(Unkept(), clock)
        self._heard: OrderedDict[tuple[InstanceUrl, SessionId, Epoch], None] = OrderedDict()
        self._waiting: asyncio.Queue[tuple[InstanceUrl, ListedSession]] = asyncio.Queue()

    def listed(self, url: InstanceUrl, row: ListedSession) -> None:
        """Note a session that an instance lists with an error."""
        if row.error != REPLACED or row.epoch is None or (url, row.session_id, row.epoch) in self._heard:
            return
        self._heard[url, row.session_id, row.epoch] = None
        if len(self._heard) > REMEMBERED_MAX:
            self._heard.popitem(last=False)
        self._waiting.put_nowait((url, row))

    async def run(self) -> None:
        """Follow what was heard until cancelled."""
        while True:
            url, row = await self._waiting.get()
            try:
                await self.follow(url, row)
            except StoreUnavailable as error:
                log.warning("A replaced session waits for the store", session_id=row.session_id, error=str(error))
                self._waiting.put_nowait((url, row))
                await self._clock.sleep(AGAIN_AFTER_S)

    async def follow(self, url: InstanceUrl, row: ListedSession) -> None:
        """Take the session back, quarantine it, or leave it. Raises StoreUnavailable."""
        found = await self._directory.accounts_of([row.session_id])
        if not found:
            return
        account = found[0]
        judged = rules.take_back(
            is_ours=_is_ours(account, url, row),
            taken_back_at_s=await self._taken_back_at_s(row.session_id),
            now_s=self._clock.now().timestamp(),
            policy=self._policy,
        )
        match judged:
            case TakeBack(reason=reason):
                self._alerts.raised(AlertKind.TAKEN_BACK, Subject.session(row.session_id), reason, url=url)
                placement = account.placement
                await self._wishes.want(
                    [
                        MoveRequest(
                            row.session_id, MoveCause.REPLACED, reason, url, placement.epoch, to_url=url, urgent=True
                        )
                    ]
                )
            case Quarantine(reason=reason):
                self._alerts.resolved(AlertKind.TAKEN_BACK, Subject.session(row.session_id))
                self._alerts.raised(AlertKind.QUARANTINED, Subject.session(row.session_id), reason, url=url)
                await self._directory.set_status(row.session_id, SessionStatus.QUARANTINED)
            case LeaveIt(reason=reason):
                log.info("Replaced session left alone", session_id=row.session_id, url=url, reason=reason)
            case _:
                assert_never(judged)

    async def _taken_back_at_s(self, session: SessionId) -> float | None:
        page = Page(limit=1)
        newest = await self._directory.moves(None, page, session_id=session, kind=MoveKind.TAKE_BACK)
        return newest[0].at.timestamp() if newest else None


def _is_ours(account: Account, url: InstanceUrl, row: ListedSession) -> bool:
    running = rules.not_running(account.status) is None
    return running and (account.placement.instance_url, account.placement.epoch) == (url, row.epoch)
