"""What is kept of how sessions stand: whether they are heard of, are being restarted, and could not send.

Protocols in words of the model; the store keeps them.
Begin with `hearing`.
"""
