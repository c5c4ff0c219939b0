"""The API for those who watch: alerts, the audit log, events as they happen, sessions, and the state stream.

It reads and changes nothing. It uses the gateway through `serve.api.context`, and `serve.state`. Begin with
`alerts`.
"""
