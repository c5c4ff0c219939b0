"""The webjs protocol: the Node service around whatsapp-web.js, and our own instance, which speaks the same.

It uses the HTTP wire and the model.
Begin with `driver`, then `answers`; what it reports by itself is read in `reports`.
"""

from homing.drivers.webjs.driver import WebjsDriver

__all__ = ["WebjsDriver"]
