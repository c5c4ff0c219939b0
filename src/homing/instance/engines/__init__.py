"""The engines: one file for each way of being a WhatsApp device.

Others come by the entry points `homing.engines`. Each implements `instance.engine` and uses nothing of the host.
Begin with `simulated`.
"""
