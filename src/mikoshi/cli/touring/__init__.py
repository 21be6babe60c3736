"""What `mikoshi tour` shows: real deployments on this machine, told to a person. Each style adds a chapter."""
