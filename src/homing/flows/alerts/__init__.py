"""Operators are told of alerts: by webhook, chat, Alertmanager and mail; and that we live.

It uses the judgments of `decide.alerts` and the ports of the store and of the way out.
Begin with `receivers`.
"""
