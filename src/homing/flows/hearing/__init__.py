"""Hearing what comes of each session, judging by it whether it hears, and trying what may help one that does not."""
