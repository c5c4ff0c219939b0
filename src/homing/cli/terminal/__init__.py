"""How commands speak with people and programs: options, output, amounts, waiting, and how each ends.

It knows nothing of what a command is about, and uses the terminal's libraries only. Begin with `output`
and `stops`.
"""
