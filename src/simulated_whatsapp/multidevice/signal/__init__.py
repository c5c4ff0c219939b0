"""End-to-end keys: X3DH both ways, the double ratchet, and sender keys for groups, in version 3 of the Signal messages.

Written from Signal's papers ("The X3DH Key Agreement Protocol", "The Double Ratchet Algorithm", both 2016) and from
what is on the wire; uses ``wire`` alone.
Begin with `identity`.
"""
