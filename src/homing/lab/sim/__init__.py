"""The world in simulation: virtual time, seeded chance, a network in memory, and instances to put on it."""
