"""What stands between the devices: connections, logins, questions, messages on their way, and a tester's hand on it all.

Carries ciphertext and reads none of it; what a phone shows is written to the ledger by whoever carried it there. Uses
``phones``, ``signal`` and ``wire``, and aiohttp for its sockets.
Begin with `service`.
"""
