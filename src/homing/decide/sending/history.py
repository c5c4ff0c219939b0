"""Does a chat, as its gateway shows it, tell that a message whose outcome is unknown was sent after all?

Only that it was: a chat that does not show it proves nothing, since the gateway may not have heard of it yet, or keeps
no such list. By our id if it is there; else by the same words, or the same file, written by the account itself in the
time between the handing over and its end. That must be one message, and no other's of ours. What was written later may
be whatever somebody said when told that the first try was unknown.
"""

from dataclasses import dataclass
from datetime import datetime

from homing.decide.reports.settling import bare_id
from homing.model.instances.events import Settlement
from homing.model.instances.report_body import cleaned
from homing.model.sends import content_json
from homing.model.sends.content import Content, KeptMedia, MediaContent, TextContent
from homing.model.sends.history import Alike, ChatHistory, HandOver, SeenMessage
from homing.model.sends.messages import MessageRecord

KIND = "history"
"""The job that looks for one message in its chat."""
LOOKED_FOR_AFTER_S = (2.0, 6.0, 12.0)
"""The waits before each look, the first from when it was written down: all within the time that a chat waits."""
EARLY_BY_S = 2.0
"""Clocks that agree differ by this at the most. Nothing is added at the end: who is told `unknown` may try at once."""
CLOCKS_DIFFER_MAX_S = 60.0
"""A gateway's clock that is further away says nothing of when a message was written."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """The message stays unknown. `final`: another look would find no more."""

    reason: str
    final: bool = False


def judged(
    record: MessageRecord, given: HandOver, shown: ChatHistory, alike: Alike, now: datetime
) -> Settlement | Undecided:
    """Whether the chat shows the message. `alike` is what is known of our other messages."""
    ours = [each for each in shown.messages if each.from_me]
    by_id = next((each for each in ours if bare_id(each.message_id) == bare_id(record.message_id)), None)
    if by_id is not None:
        return _reached(record, by_id, "its chat shows it, under its id")
    wanted = content_of(record)
    if wanted is None:
        return Undecided("nothing but texts and files is looked for in a chat", final=True)
    if shown.says_at is None:
        return Undecided("its gateway says nothing of its clock, so its chat tells no time", final=True)
    apart_s = abs((shown.says_at - now).total_seconds())
    if apart_s > CLOCKS_DIFFER_MAX_S:
        return Undecided(f"its gateway's clock is {apart_s:.0f} s off, so its chat tells no time", final=True)
    window = _Window.of(given, apart_s)
    same = [each for each in ours if _same(each, wanted) and each.message_id not in alike.ids]
    found = [each for each in same if window.holds(each)]
    if alike.open:
        return Undecided("another message of the same words to the same person is unknown, too")
    if len(found) > 1:
        return Undecided(f"its chat shows {len(found)} messages like it from that time", final=True)
    if _hides(shown, window):
        return Undecided(f"its chat shows no more than its newest {len(shown.messages)} messages", final=True)
    if not found:
        return _not_there(same, window)
    return _reached(record, found[0], "its chat shows the same, from the account itself, in the time of the send")


def content_of(record: MessageRecord) -> Content | None:
    """What is looked for; None for what no chat shows in a way that could be compared."""
    content = TextContent(record.text) if record.content is None else content_json.read(record.content)
    match content:
        case TextContent() | MediaContent(media=KeptMedia()):
            return content
        case _:
            return None


@dataclass(frozen=True, slots=True)
class _Window:
    """In unix seconds by the gateway's clock, which tells whole ones."""

    from_s: float
    until_s: float

    @classmethod
    def of(cls, given: HandOver, apart_s: float) -> "_Window":
        return cls(given.since.timestamp() - EARLY_BY_S - apart_s, given.until.timestamp() + apart_s)

    def holds(self, seen: SeenMessage) -> bool:
        return seen.at_s is not None and self.from_s - 1 < seen.at_s <= self.until_s


def _same(seen: SeenMessage, wanted: Content) -> bool:
    match wanted:
        case TextContent(text=text):
            return seen.file_sha256 is None and seen.text is not None and cleaned(seen.text) == cleaned(text)
        case MediaContent(media=KeptMedia(sha256=sha256), caption=caption):
            return seen.file_sha256 == sha256 and cleaned(seen.text or "") == cleaned(caption)
        case _:
            return False


def _hides(shown: ChatHistory, window: _Window) -> bool:
    """Whether older messages, which are not shown, may be of that time as well."""
    times = [each.at_s for each in shown.messages if each.at_s is not None]
    return shown.cut and (not times or min(times) >= window.from_s)


def _not_there(same: list[SeenMessage], window: _Window) -> Undecided:
    later = [each.at_s - window.until_s for each in same if each.at_s is not None and each.at_s > window.until_s]
    if later:
        return Undecided(f"its chat shows the same from {min(later):.0f} s after it was given up, which may be another")
    return Undecided("its chat does not show it, which proves nothing")


def _reached(record: MessageRecord, seen: SeenMessage, why: str) -> Settlement | Undecided:
    if seen.reached is False:
        return Undecided("its chat shows it, and that WhatsApp does not have it yet")
    return Settlement(record.uuid, seen.message_id, why)
