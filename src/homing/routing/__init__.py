"""Where a message goes without asking the directory: remembered routes, and the roster of instances.

It uses ports and drivers.
Begin with `cache`.
"""
