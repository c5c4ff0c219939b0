"""What a message needs on its way: its record, its place in the outbox, and its file.

Protocols in words of the model; the store keeps them.
Begin with `messages` for one send and `outbox` for those that wait.
"""
