"""wuzapi: what is asked of it (`driver`) and what its answers mean (`answers`).

From its documentation and source alone. It may use the wire and what drivers share, and nothing that knows
of other families. What it reports by itself is read in `reports`. Begin with `driver`.
"""

from homing.drivers.wuzapi.driver import WuzapiDriver

__all__ = ["WuzapiDriver"]
