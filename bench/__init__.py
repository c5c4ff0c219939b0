"""Measurements of the product as its users meet it: real processes, real sockets, the judge's ledger.

Each module measures one thing and holds it against what is claimed; the end-to-end tests run the same code, small.
"""
