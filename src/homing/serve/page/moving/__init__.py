"""The pages about where sessions go: the log of moves, and plans of them.

They use the gateway through `serve.page.viewer`, like every page.
Begin with `moves`.
"""
