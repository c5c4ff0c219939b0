"""What can be done to a fleet, and what is promised of each: kinds of faults as data, and what they are made of.

It uses the stage and `ground`. Begin with `kind`, then `kinds`.
"""
