"""Measurements beside other tools: one run, the same machine, the same hosts, ratios."""
