"""Customers' endpoints, what they are told, and how telling them went."""
