"""Defects of what operators are told, and of what logs show."""

from tests.mutations.defect import Defect, tests

_CONDITIONS = (tests("decide/test_condition_rules.py", "flows/test_conditions.py"),)
_RECEIVERS = (tests("flows/test_receivers.py", "decide/test_alert_wording.py"),)
_WORDING = (tests("decide/test_alert_wording.py"),)
_MAIL = (tests("drivers/test_mail.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "a-moment-is-an-outage",
        "an instance that is unwell for a moment wakes somebody",
        "homing/decide/alerts/conditions.py",
        "DOWN_AFTER_S = 30.0\n",
        "DOWN_AFTER_S = 0.0\n",
        _CONDITIONS,
    ),
    Defect(
        "a-start-resolves-what-stands",
        "a gateway that has just started says that an instance is well which it never saw",
        "homing/decide/alerts/conditions.py",
        "        return Passed() if was_well else None\n",
        "        return Passed()\n",
        _CONDITIONS,
    ),
    Defect(
        "an-import-is-growth",
        "what one hour brought counts as the growth of every hour",
        "homing/decide/alerts/conditions.py",
        "        return min(self.short / SHORT_WINDOW_H, self.long / LONG_WINDOW_H)\n",
        "        return max(self.short / SHORT_WINDOW_H, self.long / LONG_WINDOW_H)\n",
        _CONDITIONS,
    ),
    Defect(
        "every-alert-a-message",
        "a storm of one kind is as many messages as there are seconds in it",
        "homing/decide/alerts/receivers.py",
        "        tuple(each for each in firing if each.alert.kind not in stormy),\n",
        "        tuple(firing),\n",
        _RECEIVERS,
    ),
    Defect(
        "a-name-that-forges-lines",
        "what an instance calls itself breaks the line in a message to operators",
        "homing/decide/alerts/wording.py",
        '    return " ".join(kept.split()) + ("…" if len(said) > _SAID_MAX else "")\n',
        "    return said\n",
        _WORDING,
    ),
    Defect(
        "a-greylisted-mailbox-is-told",
        "one mailbox of two is greylisted, and the mail counts as taken by both",
        "homing/drivers/egress/mail.py",
        "    if later:\n",
        "    if not later:\n",
        _MAIL,
    ),
    Defect(
        "a-dead-gateways-alert-stands",
        "what only a gateway knew that is dead by now stands for ever",
        "homing/flows/background/alerts.py",
        "        for subject, kind in await self._store.expire(after_s=UNSAID_S):\n",
        "        for subject, kind in await self._store.expire(after_s=1e6):\n",
        (tests("flows/test_alert_book.py"),),
    ),
    Defect(
        "phones-in-the-log",
        "a phone number in a sentence of the log is shown whole",
        "homing/decide/access/log_masking.py",
        "        return _NUMBER.sub(_last_digits, value)\n",
        "        return value\n",
        (tests("decide/test_log_masking.py"),),
    ),
    Defect(
        "a-message-forgets-its-trace",
        "a message that is recorded again loses the trace that it came with",
        "homing/store/sends/messages.py",
        '    replacing["trace_id"] = func.coalesce(messages.c.trace_id, statement.excluded.trace_id)\n',
        "",
        (tests("contract/test_traces_kept.py"),),
    ),
    Defect(
        "keys-typed-fast-are-lost",
        "of keys that come at once only the first is pressed",
        "homing/cli/top/keys.py",
        "_KEY.findall(self._text.decode(came))",
        "_KEY.findall(self._text.decode(came))[:1]",
        (tests("cli/test_top_in_a_terminal.py"),),
    ),
    Defect(
        "own-clock-accuses-instances",
        "a gateway whose clock is off says so of every instance",
        "homing/flows/alerts/conditions.py",
        "conditions.clock_off(ahead_s + own_s)\n",
        "conditions.clock_off(ahead_s)\n",
        _CONDITIONS,
    ),
    Defect(
        "one-trouble-a-message-for-each-kind",
        "an instance that is lost is as many messages as there are kinds of alerts about it",
        "homing/decide/alerts/receivers.py",
        "            if len(together) > 1:\n",
        "            if len(together) > 99:\n",
        _WORDING,
    ),
    Defect(
        "what-passed-is-told-with-what-stands",
        "what stands and what has passed are one message",
        "homing/decide/alerts/receivers.py",
        "                of.setdefault((group.firing, name), []).append(group)\n",
        "                of.setdefault((True, name), []).append(group)\n",
        _WORDING,
    ),
)
