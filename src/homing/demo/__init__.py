"""The demo: a whole fleet on one machine, real processes around a simulated WhatsApp, and its three stories.

`plan` says what is wanted, `population` who lives in it, `opening` brings it up, `command` keeps it up and ends it;
`story` tells on it what the gateway is for. It may use everything.
Begin with `command`.
"""
