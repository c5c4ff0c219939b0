"""Every order of events in a world small enough to be searched whole, on the product's own judgments.

A world of a few nouns, and rules that can be left out to see what each prevents. It uses `decide` and the model.
Begin with `nouns`, then `search`.
"""
