"""The way out to customers' URLs: judged names, pinned addresses, limits on size and time.

It uses aiohttp, the ports and the model; nothing else of ours calls where a customer says.
Begin with `client`.
"""
