"""The process runner of one environment on one node: sockets outlive generations, generations replace each other."""
