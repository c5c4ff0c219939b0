"""Which number was written, and whose is it?

Pure judgments over what the phone library knows; they use the model alone. Begin with `reading`.
"""
