"""The real multi-device protocol, spoken by a simulated WhatsApp: unpatched clients pair, log in and send.

``wire`` are bytes and nodes, ``signal`` the end-to-end keys, ``phones`` the people's phones, which really decrypt;
``world`` is what is remembered, ``protocol`` what each stanza does to it, ``server`` the sockets and a tester's hand.
Like all of this side they import nothing of the gateway or its instances. Facts about the protocol name the client in
which they were read.
Begin with `protocol/service`.
"""
