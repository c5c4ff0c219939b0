"""`homing top`: the fleet in a terminal, live over the state stream of the API.

`following` reads the stream, `seen` keeps what it told, `screen` draws it and `keys` hears the keyboard. It uses
the API, and `decide.knowledge.standing` for the sentence that is read first. Begin with `command`.
"""
