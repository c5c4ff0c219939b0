"""Judgments: pure, synchronous functions from what is known, and the time, to a decision with its reason."""
