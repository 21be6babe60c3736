"""Mikoshi carries an application to any kind of server.

Importing this package reads nothing else: `mikoshi --version` must not wait for what it does not use.
"""

__version__ = "0.1.0"
