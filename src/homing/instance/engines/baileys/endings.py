"""How a connection to WhatsApp ends, as Baileys tells it by a number, in the host's words."""

from dataclasses import dataclass

from homing.instance.engine import LoggedOut, PairingFailed, Throttled

REPLACED, REMOVED, BANNED, THROTTLED, RESTART = 440, 401, 403, 429, 515
OUTDATED = (405, 411)
OUTDATED_AGAIN_S = 300.0
THROTTLED_AGAIN_S = 60.0
OUTDATED_ADVICE = "WhatsApp does not take the version that is announced: set HOMING_WHATSAPP_VERSION to its present one"
PASSKEY = (
    "passkey required: this account links devices by its passkey only, which this engine cannot use; bring the login of"
    " a program that is linked over with `homing sessions import`"
)


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

    @property
    def in_pairing(self) -> PairingFailed | None:
        """What it means to somebody who tries to link a phone; None where the next code follows by itself."""
        match self.code:
            case "passkey":
                return PairingFailed(PASSKEY, final=True)
            case 403:
                return PairingFailed("banned: WhatsApp does not let this account link devices", final=True)
            case 401:
                return PairingFailed("WhatsApp refused the link: the code was not the one that is shown here")
            case _:
                return None

    @property
    def not_let_in(self) -> str | None:
        """Why the next connection would be ended as well, where that is so."""
        if self.code in OUTDATED:
            return OUTDATED_ADVICE
        return "WhatsApp lets nobody in at the moment: too many attempts" if self.code == THROTTLED else None

    def refusal(self) -> LoggedOut | Throttled | None:
        """What it answers to a login; None where another attempt may follow at once."""
        match self.code:
            case 401:
                return LoggedOut("the phone removed the device", known=True)
            case 403:
                return LoggedOut("banned: WhatsApp does not let this account in", known=False)
            case 405 | 411:
                return Throttled(OUTDATED_AGAIN_S, OUTDATED_ADVICE)
            case 429:
                return Throttled(THROTTLED_AGAIN_S)
            case _:
                return None


def advice(ended: ConnectionEnd) -> str | None:
    """What an operator should do about it, where there is something to do."""
    if ended.code in OUTDATED:
        return OUTDATED_ADVICE
    if ended.code == BANNED:
        return "The account is banned; its owner can ask WhatsApp for a review on the phone"
    if ended.code == "passkey":
        return PASSKEY
    return None
