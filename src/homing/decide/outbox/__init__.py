"""What comes of a message that was accepted: how a dispatch ended, and when the next one may go.

Pure functions of what is known and of `now`. Begin with `endings`.
"""
