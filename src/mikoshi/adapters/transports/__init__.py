"""Ways to run the node engine on a host: over SSH, or as a process on this machine."""
