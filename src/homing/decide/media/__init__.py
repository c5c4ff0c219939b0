"""What is this file, may it be sent as that, and who may read it?

Pure functions of the file's first bytes, of limits and of `now`.
Begin with `sniffing`.
"""
