"""Can this instance send that, to there? Asked before anything leaves."""

from homing.model.fleet import Capabilities
from homing.model.sends.addresses import Address
from homing.model.sends.content import Content, MessageType
from homing.model.sends.sending import FailureCode


def beyond(content: Content, recipient: Address, can: Capabilities, driver: str) -> tuple[FailureCode, str] | None:
    """Why it cannot, naming the driver and what it can; None if it can."""
    if content.type not in can.sends:
        able = ", ".join(each.value for each in MessageType if each in can.sends)
        reason = f"the driver `{driver}` of the account's instance sends no `{content.type.value}`; it sends {able}"
        return FailureCode.UNSUPPORTED_TYPE, reason
    if recipient.kind not in can.reaches:
        able = ", ".join(sorted(each.value for each in can.reaches))
        kind = recipient.kind.value
        reason = f"the driver `{driver}` of the account's instance sends to no `{kind}` address; it sends to {able}"
        return FailureCode.UNSUPPORTED_RECIPIENT, reason
    return _beside(content, can, driver)


def _beside(content: Content, can: Capabilities, driver: str) -> tuple[FailureCode, str] | None:
    """Why it cannot say what goes with the content: which message it answers, and whom it names."""
    for field, able in (("reply_to", can.quotes), ("mentions", can.mentions)):
        if getattr(content, field, None) and content.type not in able:
            with_ = ", ".join(each.value for each in MessageType if each in able) or "none"
            reason = f"the driver `{driver}` of the account's instance takes no {field} with `{content.type.value}`"
            return FailureCode.UNSUPPORTED_TYPE, f"{reason}; it does with: {with_}"
    return None
