"""The lines of a bulk request, as they were read."""

from dataclasses import dataclass

from homing.flows.sending.accept import AskedSend
from homing.model.sends.addresses import Recipient


@dataclass(frozen=True, slots=True)
class BulkLine:
    """A line that could be read: to whom it goes, from which account, and what it says."""

    line: int
    asked: AskedSend
    recipient: Recipient
