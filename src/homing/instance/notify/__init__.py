"""What an instance tells the gateway: events kept on disk until they are acknowledged.

It uses the file system and HTTP, and knows sessions by their ids alone.
Begin with `notifier`.
"""
