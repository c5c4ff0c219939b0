"""How fast may an account write? Folklore made explicit: nothing of this is on unless somebody sets it.

Pure functions of the policy, of what was used, and of `now`. Begin with `pace`.
"""
