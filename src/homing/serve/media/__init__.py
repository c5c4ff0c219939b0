"""Files in requests and answers: read as they come, given out as they are asked for.

It uses the stories of `flows.media`, and the framework.
Begin with `bodies`.
"""
