"""GOWA (go-whatsapp-web-multidevice): what is asked of it (`driver`) and what its answers mean (`answers`).

From its OpenAPI document and source alone. It may use the wire and what drivers share, and nothing that knows
of other families. What it reports by itself is read in `reports`. Begin with `driver`.
"""

from homing.drivers.gowa.driver import GowaDriver

__all__ = ["GowaDriver"]
