"""Durable work and schedules: who may have which job, and which tick is whose to run.

It uses `store.db`; a job belongs to whoever renews its lease.
Begin with `jobs`.
"""
