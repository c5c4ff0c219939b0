"""The nouns of Homing. They hold no behaviour that needs a clock, a socket or a store.

A few at the top that everything needs (`fleet`, `errors`, `alerts`, `work`), and rooms for the directory, sends,
sessions, instances and deliveries. They use each other and nothing else of ours. Begin with `fleet`.
"""
