"""What a run came to: what was seen from outside, what must be true of it, what must have happened sometimes.

It uses what the world recorded, never what the product believes. Begin with `history`, then `checkers`.
"""
