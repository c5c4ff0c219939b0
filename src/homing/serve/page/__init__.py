"""The operations page: HTML from the same state that the API tells, useful without any script."""
