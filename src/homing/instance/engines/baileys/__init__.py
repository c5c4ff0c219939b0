"""Baileys in a process of its own: a device of the real WhatsApp, whose keys are in the vault.

It uses `instance.engine` and the pipe to `sidecar.mjs`; what is installed for it is in `installing`.
Begin with `engine`, then `sidecar.mjs`.
"""

from homing.instance.engines.baileys.engine import opened as opened
