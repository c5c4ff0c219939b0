"""Input that nobody thought of: requests generated from the API's own description, and bytes steered by coverage.

`python -m fuzz api` asks a whole gateway, with every kind of key, on both databases. `python -m fuzz parsers` feeds
what reads strangers' bytes, one parser after the other. `--help` says how many, for how long, and from which seed.
"""
