"""A file's way in, and its way out.

It may use judgments and ports, and no database, wire or clock by itself. Begin with `intake`.
"""
