"""What this gateway itself is saying, or has said of late, so that its own messages are not taken for earlier ones."""

from collections import OrderedDict, defaultdict

from homing.decide.phones.spellings import one_line
from homing.decide.reports.settling import bare_id
from homing.model.fleet import SessionId
from homing.model.instances.events import DeliveryEvidence
from homing.model.sends.sending import Outcome, Sent, Text

REMEMBERED_MAX = 20_000
"""Messages remembered; the oldest are forgotten first."""

_Words = tuple[SessionId, str, str]
_ANYBODY = ""
"""In place of a person where a report does not tell whom a message went to."""


class Said:
    """The sends under way, and the ids of those that succeeded."""

    def __init__(self) -> None:
        self._under_way: defaultdict[_Words, int] = defaultdict(int)
        self._ids: OrderedDict[tuple[SessionId, str], None] = OrderedDict()

    def begin(self, session: SessionId, text: Text) -> None:
        for words in _words(session, text):
            self._under_way[words] += 1

    def end(self, session: SessionId, text: Text, outcome: Outcome | None) -> None:
        """No outcome: the send was given up by its caller."""
        for words in _words(session, text):
            self._under_way[words] -= 1
            if self._under_way[words] <= 0:
                del self._under_way[words]
        if isinstance(outcome, Sent):
            self._ids[session, bare_id(outcome.receipt.message_id)] = None
            if len(self._ids) > REMEMBERED_MAX:
                self._ids.popitem(last=False)

    def explains(self, sign: DeliveryEvidence) -> bool:
        """Whether a report of these words is, or may well be, of a send that needs no settling."""
        if sign.message_id is not None and (sign.session_id, bare_id(sign.message_id)) in self._ids:
            return True
        whose = _ANYBODY if sign.recipient_hidden else one_line(sign.recipient_phone or "?")
        return (sign.session_id, whose, sign.text or "") in self._under_way


def _words(session: SessionId, text: Text) -> tuple[_Words, _Words]:
    """A message as it is remembered: by its recipient, and by its text alone."""
    return (session, one_line(text.recipient_phone), text.text), (session, _ANYBODY, text.text)
