"""Sockets: the Noise channel on WebSockets, media over https, and a tester's hand on it all over HTTP.

What is said on them goes to ``protocol``. Uses everything else here, and aiohttp.
Begin with `listening`.
"""
