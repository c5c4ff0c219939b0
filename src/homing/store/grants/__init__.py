"""The right to open a session: leases of incarnations, fences, and the next epoch, each in one transaction.

It uses the directory's and the vault's operations.
Begin with `granting`.
"""
