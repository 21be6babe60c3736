"""How each kind of environment is planned: pure functions from desired and observed state to a plan."""
