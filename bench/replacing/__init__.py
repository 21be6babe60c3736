"""Ways to bring the next version of a running server: each starts, changes and ends one under its own rules."""
