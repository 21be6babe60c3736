"""A site asked over HTTP/1.1. Must never repeat a request: a failure that is hidden is the one that was looked for."""
