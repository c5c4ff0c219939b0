"""Dialogs of actions: what will happen, by a dry run, and what is in the way. The act itself is a call of the API."""
