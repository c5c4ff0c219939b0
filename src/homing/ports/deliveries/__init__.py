"""What is told to customers and operators, and how the addresses are called that they gave.

Protocols in words of the model; the store and the ways out keep them.
Begin with `deliveries`.
"""
