"""Where a command's knowledge comes from: the gateway that is named, or the database itself.

It may use everything, since a command without a gateway opens the stores itself. Begin with `source`.
"""
