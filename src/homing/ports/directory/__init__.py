"""What is asked of the durable map: who exists, where each session lives, who may change that, and who did.

Protocols and what they take, in words of the model; the store keeps them.
Begin with `directory`.
"""
