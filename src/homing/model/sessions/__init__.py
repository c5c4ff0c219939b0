"""The nouns of how a session stands: whether it is heard of, and when it could not send.

They use the model alone.
Begin with `hearing`.
"""
