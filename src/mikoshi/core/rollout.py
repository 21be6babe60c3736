"""placeholder to be replaced in minutes"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Amount:
    """So many nodes, or so many percent of them (one of the two is 0)."""

    count: int = 0
    percent: int = 0

    def of(self, total: int) -> int:
        """How many of `total` nodes this is; at least one, rounded up."""
        wanted = self.count or -(-total * self.percent // 100)
        return max(1, wanted)


@dataclass(frozen=True)
class Policy:
    """How a rollout goes: the first wave, each later one, seconds of bake after each, and the failure budgets."""

    first: Amount = field(default_factory=lambda: Amount(count=1))
    step: Amount = field(default_factory=lambda: Amount(percent=100))
    bake: float = 0.0
    max_failures: int = 0
    max_unreachable: int = 0
