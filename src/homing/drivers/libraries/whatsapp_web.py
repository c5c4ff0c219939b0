"""What whatsapp-web.js says when a send fails, as the gateways around it pass it on: webjs, WAHA, wwebjs-api."""

from homing.model.sends.faults import Phase

_GONE_BEFORE = (
    # Puppeteer refuses a command on a page that is gone already, before it writes anything to the browser. A page
    # lost in the middle of a command reads "Target closed" instead, and stays ambiguous.
    "session closed. most likely the page has been closed",
    "attempted to use detached frame",
)
_OF_THE_RECIPIENT = (
    # What WhatsApp Web says of a recipient before there is a message, and will say again. Other words of its own
    # ("Evaluation failed: t", "Cannot read properties of undefined") come after a message went out, too.
    # Making an address of the number: `createWid` is at the top of the stack (whatsapp-web.js issues "wid error:
    # invalid wid", seen with 1.34; wwebjs-api 1.0.0 passes the same words on).
    "wid error",
    "invalid wid",
    # Looking for the person's hidden id, to open the chat: `toUserLidOrThrow` below `findOrCreateLatestChat` and
    # `WWebJS.getChat`, which `sendMessage` calls first (whatsapp-web.js 1.34.1, issues "No LID for user"). Nobody has
    # WhatsApp at this number, or the session never met the person.
    "no lid for user",
)


def never_left(words: str) -> Phase | None:
    """The phase of words by which it is certain that no message left; None for all others."""
    lowered = words.lower()
    if any(phrase in lowered for phrase in _OF_THE_RECIPIENT):
        return Phase.REQUEST_REJECTED
    return Phase.SESSION_NOT_READY if any(phrase in lowered for phrase in _GONE_BEFORE) else None
