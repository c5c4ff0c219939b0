"""Another system's accounts and contacts are taken over."""
