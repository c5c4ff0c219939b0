"""Where a customer's URL may lead."""
