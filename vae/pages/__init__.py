"""Web pages of one file each: no server, no network, nothing beside them.

What a page needs (style, scripts, weights, pictures) is inside it, and its content policy forbids it to
ask for more.
"""
