"""A simulated WhatsApp: the other side of every wire, and the judge of what reached whom.

It is a program of its own and imports nothing of the gateway or its instances. ``core`` holds the rules
and no input or output; ``exchange`` turns frames into questions to the rules; ``server`` and ``client`` are
its wire; ``ledger`` is what recipients saw.
Begin with `core`.
"""
