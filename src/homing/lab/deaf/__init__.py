"""Accounts that live for weeks in virtual time; some go deaf. What do the product's judgment and ladder make of it?

Nothing here decides whether a session hears or what is tried with it; that is `homing.decide.hearing`. It uses the
product's own parts and the loop of `lab.sim`.
Begin with `run`.
"""
