"""People's phones: device 0 of each number, which scans codes, reads what is written to it, and writes itself.

They really decrypt, drop what they have had before, and say what they show; who carries it there is not their concern.
Use ``signal`` and ``wire``.
Begin with `phone`.
"""
