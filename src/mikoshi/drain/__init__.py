"""Helpers that let a server be replaced without losing a request: what it needs to take over a socket, and to drain.

They run inside the application's own process, with the application's own interpreter and server. Must never import
anything but the standard library and the server they help, nor need more than Python 3.9.
"""
