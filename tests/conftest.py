"""Every test's settings: what a machine must have, and Hypothesis without time limits."""

from hypothesis import settings

pytest_plugins = ["tests.requirements", "pytester"]

# Two noisy cores shared with other tests: a slow example is no finding. Counts are asserted, never seconds.
settings.register_profile("mikoshi", deadline=None, print_blob=True)
settings.load_profile("mikoshi")
