"""How a connection to WhatsApp ends, as Baileys tells it by a number, in the host's words."""

from dataclasses import dataclass

from homing.instance.engine import LoggedOut, Throttled

REPLACED, REMOVED, BANNED, THROTTLED, RESTART = 440, 401, 403, 429, 515
OUTDATED = (405, 411)
OUTDATED_AGAIN_S = 300.0
THROTTLED_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class ConnectionEnd:
    """A connection's end: Baileys' number for it, where there is one, and its words."""

    code: int | str | None
    why: str

    def __str__(self) -> str:
        return f"{self.why} ({self.code})" if self.code is not None else self.why

    @property
    def is_replaced(self) -> bool:
        return self.code == REPLACED

    @property
    def is_removed(self) -> bool:
        return self.code == REMOVED

    def refusal(self) -> LoggedOut | Throttled | None:
        """What it answers to a login; None where another attempt may follow at once."""
        match self.code:
            case 401:
                return LoggedOut("the phone removed the device", known=True)
            case 403:
                return LoggedOut("banned: WhatsApp does not let this account in", known=False)
            case 405 | 411:
                return Throttled(OUTDATED_AGAIN_S)
            case 429:
                return Throttled(THROTTLED_AGAIN_S)
            case _:
                return None


def advice(ended: ConnectionEnd) -> str | None:
    """What an operator should do about it, where there is something to do."""
    if ended.code in OUTDATED:
        return "WhatsApp does not take the version that is announced: set HOMING_WHATSAPP_VERSION to its present one"
    if ended.code == BANNED:
        return "The account is banned; its owner can ask WhatsApp for a review on the phone"
    if ended.code == "passkey":
        return "This account can be linked with a passkey only: bring a login over with `homing sessions import`"
    return None
