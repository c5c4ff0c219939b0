"""Does the suite bite? Defects that somebody could have made, put in one at a time, and how soon each is found.

Each is a small change of one file. It is applied to a copy of the project, and what should notice is run there.
"""
