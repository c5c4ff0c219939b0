"""WAHA (devlikeapro/waha): what is asked of it (`driver`) and what its answers mean (`answers`).

It may use the wire and what drivers share, and nothing that knows of other families. What it reports by itself is read
in `reports`. Begin with `driver`.
"""

from homing.drivers.waha.driver import WahaDriver

__all__ = ["WahaDriver"]
