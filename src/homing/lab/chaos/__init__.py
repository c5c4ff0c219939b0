"""Real faults on real processes: a demo fleet under load, what is done to it, and what came of every message."""
