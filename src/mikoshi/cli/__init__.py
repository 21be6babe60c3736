"""The command line: one verb a file. The only room that turns errors into text and exit codes."""
