"""How another system's accounts, contacts and logins are read: the Laravel application's database, files and folders.

Sources give rows by the names of `homing.decide.importing.reading` and judge nothing; they use the port that they keep.
Begin with `csv_file`.
"""
