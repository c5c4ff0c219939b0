"""What the list of sessions is narrowed by, and the bar of each one's day.

May use the viewer and the page's words. Begin with `facets`.
"""
