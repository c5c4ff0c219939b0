"""The one place that wires everything together, for the gateway and for the commands."""

from homing.compose.opening import gateway_on, open_exits, open_gateway, open_sync
from homing.compose.parts import Gateway, Moving
from homing.compose.stores import Stores, open_stores, stores_on
from homing.compose.wiring import drivers_of
from homing.store.vault.opening import open_vault

__all__ = [
    "Gateway",
    "Moving",
    "Stores",
    "drivers_of",
    "gateway_on",
    "open_exits",
    "open_gateway",
    "open_stores",
    "open_sync",
    "open_vault",
    "stores_on",
]
