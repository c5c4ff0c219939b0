"""Homing beside what else stands between a client and an instance: in one run, on the same core, in turn.

What measures costs next to nothing: clients and instance are C (`bench/native`), on another core than the relay.
Begin with `compare`.
"""
