"""Pure values and functions: standard library only, and fit for Python 3.9.

Never reads a file, a clock, the network or randomness: those come in as arguments.
"""
