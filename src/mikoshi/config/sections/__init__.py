"""One section of mikoshi.toml a file: the keys it knows, and how its values become typed ones."""
