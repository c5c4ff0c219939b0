"""Real faults on real processes: a demo fleet under load, what is done to it, and what came of every message.

`faults` has what is done, `ground` what it is done to; what came of it is read off the recipients' ledger. It may use
everything. Begin with `run`, then `faults/kinds`.
"""
