"""From accepted to sent: each account's messages in their lane, in order for each chat, at their pace.

It asks `decide.outbox`, sends through `flows.sending`, and writes down every step in the store before and after.
Begin with `lanes`.
"""
