"""What the state of the fleet tells the downtime ledger."""

from homing.flows.background.downtime import DowntimeBook
from homing.serve.state.live import Change, LiveState


class Outages:
    """Hands on every change; once, that everything was told."""

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
