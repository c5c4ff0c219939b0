"""Finding out where sessions are, by the lists of instances: in a send, on request, and every few minutes.

It asks `decide.knowledge`, and reaches instances and the directory through ports.
Begin with `rediscover` for one session, and `sync` for the whole fleet.
"""
