"""Customers' webhooks: who is told, how, and for how long it is tried.

It uses the judgments of `decide.deliveries` and the ports of the store and of the way out.
Begin with `telling`.
"""
