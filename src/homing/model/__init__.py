"""The nouns of Homing. They hold no behaviour that needs a clock, a socket or a store."""
