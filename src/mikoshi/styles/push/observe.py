"""What was read of the fleet, as one value: the nodes' views of themselves, and the anchor's fleet record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mikoshi.core.deployment import DONE, FleetRecord, fleet_record_from_json
from mikoshi.core.errors import ProtocolMismatch, SameMachine
from mikoshi.core.messages import NodeView


@dataclass(frozen=True)
class FleetView:
    """The reachable nodes in configuration order, the names of the others, and the records by seq.

    `foreign` are records that stand on other nodes only, because they were the anchor once.
    """

    nodes: Mapping[str, NodeView]
    unreachable: tuple[str, ...] = ()
    records: Mapping[int, FleetRecord] = field(default_factory=dict)
    foreign: tuple[FleetRecord, ...] = ()

    @property
    def stable(self) -> FleetRecord | None:
        """The last known good deployment: the highest whose rollout completed healthy."""
        done = [record for record in self.records.values() if record.outcome == DONE]
        return max(done, key=lambda record: record.seq, default=None)

    @property
    def unfinished(self) -> FleetRecord | None:
        """The attempt that was interrupted, if any."""
        open_ones = [record for record in self.records.values() if record.unfinished]
        return max(open_ones, key=lambda record: record.seq, default=None)

    @property
    def highest(self) -> int:
        """The highest number that was ever given, as far as the anchor and the nodes know."""
        return max([0, *self.records, *(view.highest_seq for view in self.nodes.values())])


def fleet_view(views: Mapping[str, NodeView], unreachable: tuple[str, ...], anchor: str) -> FleetView:
    """The fleet as read from its nodes. Records of a node that was the anchor once count as well.

    Raises SameMachine if two names lead to one machine and directory, ProtocolMismatch for an unreadable record.
    """
    seen: dict[str, str] = {}
    for name, view in views.items():
        other = seen.setdefault(view.identity, name)
        if other != name:
            raise SameMachine(other, name)
    records: dict[int, FleetRecord] = {}
    for name in views:
        for record in _records(name, views[name]):
            records[record.seq] = max(record, records.get(record.seq, record), key=_finality)
    own = {record.seq for record in _records(anchor, views[anchor])} if anchor in views else set()
    foreign = tuple(record for seq, record in sorted(records.items()) if seq not in own)
    return FleetView(views, unreachable, records, foreign)


def _records(name: str, view: NodeView) -> list[FleetRecord]:
    try:
        return [fleet_record_from_json(row) for row in view.fleet]
    except (KeyError, TypeError) as error:
        raise ProtocolMismatch(f"a fleet record that cannot be read: {error}").on(name) from error


def _finality(record: FleetRecord) -> tuple[bool, float]:
    """Of two copies of a record, the one that knows how it ended is right."""
    return (not record.unfinished, record.ended)
