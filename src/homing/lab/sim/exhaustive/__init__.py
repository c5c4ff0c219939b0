"""Every order of events in a world small enough to be searched whole, on the product's own judgments."""
