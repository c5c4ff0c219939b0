"""How another system's accounts and contacts are read: the Laravel application's database, and files.

Sources give rows by the names of `homing.decide.importing.reading` and judge nothing; they use the port that they keep.
Begin with `csv_file`.
"""
