"""Which alerts a receiver is told of, and in which words.

Pure functions of the model, like everything in `decide`.
Begin with `receivers`.
"""
