"""Where files are kept for as long as messages may need them.

It may use judgments and ports, and below it the object store. Begin with `objects`.
"""
