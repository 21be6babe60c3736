"""From the text of mikoshi.toml to typed values, with all problems reported at once.

Never touches a server.
"""
