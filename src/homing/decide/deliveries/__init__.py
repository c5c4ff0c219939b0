"""What customers are told, when, and for how long it is tried.

Pure functions of the model, like everything in `decide`.
Begin with `shapes`.
"""
