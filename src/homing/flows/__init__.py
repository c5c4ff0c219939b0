"""The stories: the only place where decisions meet I/O."""
