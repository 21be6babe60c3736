"""Implementations of the ports.

I/O and foreign libraries live here, and no decision about a deployment does.
"""
