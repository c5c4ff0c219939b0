"""What a fleet stands on, made here so that it can fail: networks, disks, clocks, names, pipes, servers.

It uses the system and nothing of the product but what it starts. Begin with `proxy`.
"""
