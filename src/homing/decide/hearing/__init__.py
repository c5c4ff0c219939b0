"""Is a session that calls itself connected deaf, and what is to be tried with it?

Pure functions of what was heard of it, of its neighbours and of `now`.
Begin with `judgment`, then `ladder`.
"""
