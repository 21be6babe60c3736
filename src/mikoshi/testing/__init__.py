"""Public fakes, contract suites and strategies for people who write adapters.

Production code never imports it.
"""
