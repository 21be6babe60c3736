"""Which deployments may be removed from a node. Pure.

Never: what runs, what ran before it, the last known good, the fleet's stable one, and whatever the caller protects.
Failed deployments do not count as kept. The newest of those above the last known good stays until the next success:
its content is what a second attempt mostly needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mikoshi.core.deployment import DONE


@dataclass(frozen=True)
class Standing:
    """A deployment that stands on the node and how its attempt ended there ("" if it was never activated)."""

    seq: int
    verdict: str = ""

    @property
    def good(self) -> bool:
        """Whether it was activated and stayed."""
        return self.verdict == DONE


def needed(standing: Sequence[Standing], current: int, stable: int, protect: frozenset[int]) -> frozenset[int]:
    """The deployments that are never removed, whatever `keep` says."""
    good = sorted(one.seq for one in standing if one.good)
    before = [seq for seq in good if seq < current] or [seq for seq in good if seq != current]
    return frozenset({current, stable, *protect, *before[-1:], *good[-1:]} - {0})


def prunable(
    standing: Sequence[Standing], current: int, stable: int, keep: int, protect: frozenset[int]
) -> tuple[int, ...]:
    """The deployments to remove, in the order of removal: failed ones first, then good ones from the oldest.

    `keep` counts good deployments, those that are never removed included.
    """
    good = sorted((one.seq for one in standing if one.good), reverse=True)
    failed = sorted(one.seq for one in standing if not one.good)
    newest_failure = [seq for seq in failed if not good or seq > good[0]][-1:]
    held = needed(standing, current, stable, protect)
    spare = set(newest_failure) | set(good[: max(keep, 1)]) | held
    return tuple(seq for seq in [*failed, *reversed(good)] if seq not in spare)
