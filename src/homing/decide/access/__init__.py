"""What callers may be answered, how often, and how it is told afterwards what they did."""
