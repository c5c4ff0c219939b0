"""The world of a run: gateways and instances as processes, the network, the database, the simulated WhatsApp.

It uses the product's own parts and `lab.sim`'s loop. Begin with `processes`, then `network`.
"""
