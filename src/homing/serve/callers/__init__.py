"""Who is calling, and what may they: keys, sign-ins, instances' keys, how often each may ask.

Everything here is held in memory, so that no request waits for the database to know its caller. It uses the model,
the ports and `decide.access`. Begin with `access` and go on to `keyring`.
"""
