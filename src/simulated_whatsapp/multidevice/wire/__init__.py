"""Bytes: curve, Noise handshake, frames, binary nodes, and the few protobuf fields that the protocol needs.

Pure: no socket, no clock, no file but the dictionary's. Both sides of the wire are spoken, so that a client can be
built on it, too.
Begin with `nodes`.
"""
