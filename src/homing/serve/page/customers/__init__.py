"""The pages about customers' webhooks: endpoints, deliveries with their attempts, and what may be done with them."""
