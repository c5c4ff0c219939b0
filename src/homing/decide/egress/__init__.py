"""Where may a customer's URL lead, and what does what came back mean?

Pure functions of the model; the addresses behind a name are looked up by who calls them.
Begin with `rules`.
"""
