"""The gateway over HTTP: requests decoded, the stories called, answers encoded.

It uses the stories, the store and what `compose` hands it as `gateway.Gateway`; it imports nothing of `compose`.
Begin with `app`, then `sends` for the one request that must be fast.
"""
