"""The real multi-device protocol, spoken by a simulated WhatsApp: what unpatched clients pair with, log in to and send through.

``wire`` are bytes and nodes, ``signal`` the end-to-end keys, ``phones`` the people's phones, which really decrypt,
``server`` what stands between them; like all of this side it imports nothing of the gateway or its instances. Facts
about the protocol name the client in which they were read.
Begin with `server/service`.
"""
