"""The operations page: HTML from the same state that the API tells, useful without any script.

It uses `serve.state`, and changes nothing itself: buttons ask the API. Templates, scripts and styles are in `files`'
folder. Begin with `routes`, then `now`.
"""
