"""What a gateway does by itself beside its sends: durable work, schedules, alerts, and the clean-up of what is old.

It reaches the store through ports, and the other stories give it what to do.
Begin with `worker`.
"""
