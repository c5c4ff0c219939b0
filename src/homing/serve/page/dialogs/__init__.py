"""Dialogs of actions: what will happen, by a dry run, and what is in the way. The act itself is a call of the API.

They use the gateway through `serve.page.viewer`, like every page.
Begin with `shape`, then `sessions`.
"""
