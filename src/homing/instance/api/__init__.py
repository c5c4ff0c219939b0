"""An instance over HTTP: the webjs protocol, epochs and message ids beyond it, and faults on demand.

It decodes, calls the host, and encodes.
Begin with `http`.
"""
