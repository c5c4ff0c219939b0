"""What callers may be answered, how often, and how it is told afterwards what they did.

Pure judgments; they use the model alone. Begin with `rates`.
"""
