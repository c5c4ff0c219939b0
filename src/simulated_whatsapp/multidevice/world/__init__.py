"""What is remembered: who there is, what waits for whom, what is armed, and what was written down.

Decides nothing about the protocol. Uses ``phones``, ``signal`` and ``wire``.
Begin with `world`.
"""
