"""The tools that are compared, one a file, each behind the same few methods."""
