"""The pages about sessions that need looking after: phones to link, and sessions that are connected and not well.

They use the gateway through `serve.page.viewer`, like every page.
Begin with `deaf`.
"""
