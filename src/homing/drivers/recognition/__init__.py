"""Which gateway answers at an address, asked with harmless GETs and without any key of ours.

It uses the HTTP wire and the model.
Begin with `asking`.
"""
