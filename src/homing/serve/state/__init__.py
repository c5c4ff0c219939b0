"""The state of the fleet as it is known now: kept up to date in memory, told as a stream, shown on the page."""
