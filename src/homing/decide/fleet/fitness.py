"""Does what answers at an instance's address work as the gateway that it is said to be?

An instance that answers its health and nothing else is no target for anything new. It is not gone either: nothing is
moved because of a wrong key.
"""

from dataclasses import dataclass

from homing.model.instances.gateways import Recognised
from homing.model.sends.faults import Fault, Phase

SURE_AFTER = 2
"""So many readings in a row without a list, by something that answers. One alone may be a proxy's, in a deploy."""

_ANSWERS_WRONGLY = frozenset({
    Phase.UNAUTHORISED,
    Phase.UNLICENSED,
    Phase.PATH_NOT_FOUND,
    Phase.MISDIRECTED,
    Phase.REPLY_MALFORMED,
    Phase.REQUEST_REJECTED,
    Phase.SESSION_NOT_FOUND,
    Phase.UNAVAILABLE,
    Phase.SERVER_ERROR,
})  # fmt: skip


_NO_LIST = frozenset({Phase.PATH_NOT_FOUND, Phase.REPLY_MALFORMED, Phase.MISDIRECTED})


@dataclass(frozen=True, slots=True)
class Misfit:
    """It does not work as it is set up. `foreign`: what answers there is a gateway of another family.

    `unlicensed`: nothing else is wrong with it than that its licence is not activated.
    """

    reason: str
    foreign: bool = False
    unlicensed: bool = False


def is_doubtful(fault: Fault | None) -> bool:
    """Whether a list that could not be read is a reason to find out what answers there."""
    return fault is not None and fault.phase in _ANSWERS_WRONGLY


def is_another(family: str, recognised: Recognised | Fault | None) -> bool:
    """Whether what was found to answer is a gateway of another family."""
    gateway = recognised.gateway if isinstance(recognised, Recognised) else None
    return gateway is not None and gateway.family != family


def judge(family: str, fault: Fault, recognised: Recognised | Fault | None, times: int) -> Misfit | None:
    """What is wrong with an instance of this family whose list met `fault`, `times` in a row; None: nothing is sure.

    `recognised` is what was found to answer there; None where nobody could ask.
    """
    known = recognised if isinstance(recognised, Recognised) else None
    gateway = known.gateway if known is not None else None
    if gateway is not None and is_another(family, recognised):
        return Misfit(
            f"this is {gateway}, and it is set up as {family}; nothing but its health is asked of it;"
            f" if that is right: homing instances set URL --driver {gateway.family}",
            foreign=True,
        )
    if fault.phase is Phase.UNLICENSED:
        reason = f"it does nothing before its licence is activated ({fault}); activate it there; nothing is moved"
        return Misfit(reason, unlicensed=True)
    if fault.phase is Phase.UNAUTHORISED:
        return Misfit(
            f"it does not accept our API key ({fault.status or 401});"
            " set WHATSAPP_API_KEY, or the instance's own WHATSAPP_INSTANCE_n_API_KEY, to the key that it expects"
        )
    if times < SURE_AFTER or fault.phase not in _NO_LIST:
        return None
    if gateway is not None:
        return Misfit(f"it answers /health as {gateway}, and gives no list of its sessions: {fault.category}")
    if known is not None:
        return Misfit(f"what answers there is no gateway that we know: {known.described}")
    return Misfit(f"it gives no list of its sessions: {fault.category}")
