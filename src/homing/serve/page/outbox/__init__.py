"""The page's part about messages: those of the outbox, batches of them, and what people can do with what waits.

It uses `serve.page.viewer` and `serve.page.dialogs`. Begin with `messages`, then `dialogs`.
"""
