"""Defects of our own instance: what it says to WhatsApp, and when."""

from bite.defect import Defect, Seeds, tests

_HOST = (tests("instance/test_session_host.py"),)
_EPOCHS = (tests("instance/test_instance_http.py"), *_HOST)
_LEASED = (tests("instance/test_under_the_lease.py"), tests("instance/test_one_emitter.py"))
_RESERVING = (tests("instance/test_reserving.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "looks-before-it-waits-only",
        "whether it may act is asked before the vault is, and not again before the bytes leave",
        "homing/instance/sending.py",
        "while self._unsent and self._transmit is not None and self._may_act():",
        "while self._unsent and self._transmit is not None:",
        (*_LEASED, *_RESERVING),
    ),
    Defect(
        "reserves-while-paused",
        "a boot whose lease is over writes to the vault",
        "homing/instance/line.py",
        "            if not self._may_act():\n",
        "            if self._over is not None:\n",
        _LEASED,
    ),
    Defect(
        "back-after-replaced",
        "a session that was replaced connects again, and evicts its next holder",
        "homing/instance/session.py",
        "                self._end(Status.ERROR, REPLACED)\n                self._tasks.spawn(self.taken(REPLACED))\n",
        "                self._lost()\n",
        _HOST,
    ),
    Defect(
        "login-kept-when-removed",
        "the login of a removed device is not deleted",
        "homing/instance/session.py",
        'self.log_out("device removed", forget=True)',
        'self.log_out("device removed", forget=False)',
        _HOST,
    ),
    Defect(
        "epoch-header-ignored",
        "a send that names another epoch is said all the same",
        "homing/instance/host.py",
        "if self.lease.may_act() and (stale := await self._stale(held, epoch)) is not None:",
        "if self.lease.left_s() < 0 and (stale := await self._stale(held, epoch)) is not None:",
        _EPOCHS,
    ),
    Defect(
        "higher-epoch-not-looked-up",
        "a boot that hears of a higher epoch goes on as before",
        "homing/instance/host.py",
        "        if named > own:\n",
        "        if named < 0:\n",
        _EPOCHS,
    ),
    Defect(
        "stops-another-holding",
        "a late stop ends the session's next holding",
        "homing/instance/host.py",
        "            if (stale := await self._stale(held, epoch)) is not None:\n"
        "                return stale\n            await held.stop()\n",
        "            await held.stop()\n",
        _EPOCHS,
    ),
    Defect(
        "restores-what-was-granted",
        "a restarted instance takes back what was granted to others meanwhile",
        "homing/instance/opening.py",
        "[Wanted(at.session_id, None, at.epoch + 1) for at in still]",
        "[Wanted(at.session_id, None, None) for at in still]",
        _HOST,
    ),
    Defect(
        "restart-leaves-its-own",
        "a restarted instance that did not hear what it was given leaves it to somebody else",
        "homing/instance/host.py",
        ".keys() - self._opening.asked_for",
        ".keys()",
        _HOST,
    ),
    Defect(
        "acknowledged-once-reserved",
        "a send is answered as soon as the vault has it, before WhatsApp has",
        "homing/instance/sending.py",
        "            self._unsent.append(under_way)\n            if self._over",
        "            self._unsent.append(under_way)\n"
        "            under_way.settle(Sent(under_way.message.message_id))\n            if self._over",
        (*_HOST, *_RESERVING),
    ),
    Defect(
        "unacknowledged-is-forgotten",
        "what was on the wire when the connection broke is not said again",
        "homing/instance/sending.py",
        "self._unsent = deque(self._reserved[counter] for counter in sorted(self._reserved))",
        "self._unsent = deque()",
        _RESERVING,
    ),
    Defect(
        "newest-first",
        "after a broken connection the newest message goes first",
        "homing/instance/sending.py",
        "for counter in sorted(self._reserved))",
        "for counter in sorted(self._reserved, reverse=True))",
        (*_RESERVING, *_HOST),
    ),
    Defect(
        "refusal-leaves-a-trace",
        "who is told that a message was not taken is told so before the vault knows",
        "homing/instance/sending.py",
        "self._finish(under_way, outcome if done else otherwise))",
        "None)\n        self._finish(under_way, outcome)",
        (*_RESERVING, *_HOST),
    ),
    Defect(
        "inbound-acknowledged-first",
        "a message from WhatsApp is acknowledged before it is in the journal",
        "homing/instance/inbox.py",
        "        kept = await self._telling.kept(",
        "        if wire is not None:\n            wire.received(message.id)\n        kept = await self._telling.kept(",
        (tests("instance/test_telling_the_gateway.py", "instance/test_listeners.py"),),
    ),
    Defect(
        "journal-not-synchronised",
        "the journal calls durable what only the system's cache has",
        "homing/instance/journal.py",
        "lines, synchronise=synchronise)",
        "lines, synchronise=False)",
        (tests("instance/test_journal.py"),),
    ),
    Defect(
        "journal-forgets-failed-lines",
        "lines that could not be written are not written again",
        "homing/instance/journal.py",
        "            self._unwritten = lines + self._unwritten\n",
        "",
        (tests("instance/test_journal.py"),),
    ),
    Defect(
        "late-clock-drops-reports",
        "a report that is refused because a clock is off is given up",
        "homing/instance/retries.py",
        "CURABLE = frozenset({401, 403, 404, 408, 429})",
        "CURABLE = frozenset({408, 429})",
        (tests("instance/test_retries.py"), Seeds("standard", 8)),
    ),
)
