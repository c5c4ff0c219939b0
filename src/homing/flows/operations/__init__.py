"""What operators ask for: accounts started, stopped, paired and deleted, instances drained, sessions moved and spread.

It uses the judgments and the other stories; the API and the commands call it.
Begin with `accounts`.
"""
