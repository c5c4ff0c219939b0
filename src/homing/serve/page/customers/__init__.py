"""The pages about customers' webhooks: endpoints, deliveries with their attempts, and what may be done with them.

They use the gateway through `serve.page.viewer`, like every page.
Begin with `endpoints`.
"""
