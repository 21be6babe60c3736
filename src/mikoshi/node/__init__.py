"""The engine that works on a server.

Standard library and core only, fit for Python 3.9: it travels as one small zip.
"""
