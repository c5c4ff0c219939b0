"""What customers set up for themselves: endpoints, and the deliveries to them."""
