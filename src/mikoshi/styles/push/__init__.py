"""Push: a deployer reaches every node over SSH, stages everywhere, flips wave by wave. Pure: see README.md."""
