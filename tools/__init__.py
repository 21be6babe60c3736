"""What `make` runs besides the tests: checks of documentation and source, and their reports."""
