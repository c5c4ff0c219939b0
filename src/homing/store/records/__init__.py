"""What is written down as it happens: reports of instances, and alerts.

It uses `store.db`.
Begin with `reports`.
"""
