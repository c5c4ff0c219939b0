"""Which number was written, and whose is it?"""
