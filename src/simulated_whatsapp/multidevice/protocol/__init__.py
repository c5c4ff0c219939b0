"""What each stanza does: linking, logins, questions, messages, receipts.

Carries ciphertext and reads none of it; what a phone shows is written to the ledger by whoever brought it there. Uses
``world`` and what that uses.
Begin with `service`.
"""
