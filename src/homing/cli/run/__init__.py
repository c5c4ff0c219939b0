"""Commands that stay up or run for long: `serve`, `instance`, `demo`, `sim` and `chaos`.

They may use everything, and import it when they run. Begin with `processes`.
"""
