"""What customers set up for themselves: endpoints, and the deliveries to them.

It uses the gateway through `serve.api.context`.
Begin with `endpoints`.
"""
