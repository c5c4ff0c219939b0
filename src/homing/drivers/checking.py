"""What the answers to a number's check have in common: whether it is on WhatsApp, and the address that it has there."""

from collections.abc import Sequence

from homing.drivers import reading
from homing.drivers.http.wire import Reply
from homing.model.sends.addresses import Address, AddressKind, is_id
from homing.model.sends.calls import NumberChecked
from homing.model.sends.faults import Fault


def checked_of(reply: Reply, exists: object, jid: object, secrets: Sequence[str]) -> NumberChecked | Fault:
    """`exists` and `jid` as the gateway said them. REPLY_MALFORMED where it is not said whether the number exists."""
    if not isinstance(exists, bool):
        return reading.malformed(reply, "the answer about a number did not tell whether it exists", secrets)
    return NumberChecked(exists, _address_in(jid) if exists else None)


def the_one_in(rows: object) -> object:
    """What is said of the one number that was asked for; None where there is no row, or more than one."""
    return rows[0] if isinstance(rows, list) and len(rows) == 1 else None


def _address_in(jid: object) -> Address | None:
    """A phone's address, or a hidden id; what is neither says nothing of where messages go."""
    phone = reading.phone_of(jid)
    if phone is not None:
        return Address(AddressKind.PHONE, phone) if is_id(AddressKind.PHONE, phone) else None
    name, _, server = jid.partition("@") if isinstance(jid, str) else ("", "", "")
    is_hidden = server == AddressKind.LID.value and is_id(AddressKind.LID, name)
    return Address(AddressKind.LID, name) if is_hidden else None
