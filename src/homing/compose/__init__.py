"""The one place that wires everything together, for the gateway and for the commands.

It may import everything, and nothing that it wires imports it; `parts` has them by topic. Begin
with `opening`, then `wiring`.
"""

from homing.compose.opening import gateway_on, open_api, open_carrying, open_gateway, open_sync
from homing.compose.parts.driving import drivers_of
from homing.compose.stores import open_stores, stores_on
from homing.serve.gateway import Gateway, Moving
from homing.store.opened import Stores
from homing.store.vault.opening import open_vault

__all__ = [
    "Gateway",
    "Moving",
    "Stores",
    "drivers_of",
    "gateway_on",
    "open_api",
    "open_carrying",
    "open_gateway",
    "open_stores",
    "open_sync",
    "open_vault",
    "stores_on",
]
