"""Defects of looking for unknown messages in their chats."""

from tests.mutations.defect import Defect, tests

_JUDGED = (tests("decide/test_history.py"),)
_FLOW = (tests("flows/test_chat_history.py"),)
_STORE = (tests("contract/test_looked_for.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "chat-that-shows-two",
        "of two messages like the unknown one, the first is taken for it",
        "homing/decide/sending/history.py",
        "    if len(found) > 1:\n",
        "    if len(found) > 2:\n",
        _JUDGED,
    ),
    Defect(
        "somebody-elses-message",
        "what another message of ours was sent under is taken for the unknown one",
        "homing/decide/sending/history.py",
        " and each.message_id not in alike.ids]\n",
        "]\n",
        _JUDGED,
    ),
    Defect(
        "any-time-will-do",
        "what was written before the message was handed over is taken for it",
        "homing/decide/sending/history.py",
        "self.from_s - 1 < seen.at_s <= self.until_s",
        "seen.at_s <= self.until_s",
        _JUDGED,
    ),
    Defect(
        "shown-is-sent",
        "what WhatsApp does not have yet is called sent",
        "homing/decide/sending/history.py",
        "    if seen.reached is False:\n",
        "    if seen.reached is None:\n",
        _JUDGED,
    ),
    Defect(
        "words-are-enough",
        "a picture is taken for the text that stands beside it",
        "homing/decide/sending/history.py",
        "            return seen.file_sha256 is None and seen.text",
        "            return seen.text",
        _JUDGED,
    ),
    Defect(
        "second-try-taken-for-the-first",
        "what the caller said again after an unknown is taken for the unknown one",
        "homing/flows/sending/chat_history.py",
        "        return Alike({*known.ids, *explained}, known.open)\n",
        "        return known\n",
        _FLOW,
    ),
    Defect(
        "looked-for-without-end",
        "a chat is looked at again and again",
        "homing/flows/sending/chat_history.py",
        "        if not came.final and job.attempts < len(LOOKED_FOR_AFTER_S):\n",
        "        if not came.final and job.attempts < 2:\n",
        _FLOW,
    ),
    Defect(
        "nobody-looks",
        "a message of the outbox that is unknown is not looked for",
        "homing/store/outbox/lanes.py",
        "    _look_for(connection, database, step, first - settled)\n",
        "",
        _STORE,
    ),
    Defect(
        "one-id-for-two",
        "two messages are called sent under one id of WhatsApp's",
        "homing/store/outbox/in_chats.py",
        "limit(1)) is not None:\n",
        "limit(1)) is not None and False:\n",
        _STORE,
    ),
)
