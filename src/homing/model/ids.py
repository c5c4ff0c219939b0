"""What things are called by, from the wire to the table: each name is a type of its own."""

from typing import NewType

SessionId = NewType("SessionId", str)
AccountUuid = NewType("AccountUuid", str)
ContactUuid = NewType("ContactUuid", str)
WorkspaceId = NewType("WorkspaceId", int)
InstanceUrl = NewType("InstanceUrl", str)
"""A gateway's base URL in its one normal form (`homing.model.urls.normal`)."""
Epoch = NewType("Epoch", int)
"""A session's fencing number. It rises with every grant to open the session's credentials; 0 means never granted."""

NEVER_GRANTED = Epoch(0)
EPOCH_MAX = 2**53 - 1
"""No gateway is believed to be at a higher one: up to here every reader of JSON has the same number."""
CLAIMED_EPOCH_MAX = 2**48
"""No higher one is taken over from a gateway: grants must be able to go on from it for ever."""
