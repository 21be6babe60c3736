"""What no single value shows: whether the merged values of an environment go together.

Nothing is concluded from a value that is already known to be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mikoshi.config.document import Node
from mikoshi.config.levels import HostLevel, Levels
from mikoshi.config.merge import table
from mikoshi.config.problems import Place, Problems, did_you_mean, written
from mikoshi.config.sections.environment import STYLES
from mikoshi.config.values.addresses import host as host_address
from mikoshi.config.values.addresses import same_node
from mikoshi.core.address import Address


def check_levels(levels: Levels, problems: Problems) -> None:
    """Note what does not go together in one environment."""
    for check in _CHECKS:
        check(levels, problems)


def _missing(levels: Levels, *keys: str) -> Place:
    return Place(levels.section.place.line, levels.section.below(*keys))


def _hosts_present(levels: Levels, problems: Problems) -> None:
    style, hosts = levels.settings.value.get("style"), levels.settings.value.get("hosts")
    if (style and style.bad) or (hosts and (hosts.bad or hosts.value)):
        return
    other = next((name for name in STYLES if name in levels.section.value), "")
    hint = f"; did you mean style = {written(other)}?" if other and not style_written(levels) else ""
    problems.add(_missing(levels, "hosts"), f"expected at least one host{hint}")


def style_written(levels: Levels) -> bool:
    """Whether the environment's own section says its style."""
    return "style" in levels.section.value


def _address(level: HostLevel) -> Address | None:
    node = level.item.get("ssh")
    return node.parsed if node else None


def _hosts_distinct(levels: Levels, problems: Problems) -> None:
    seen: dict[tuple[str, int, str], Node] = {}
    for level in levels.hosts:
        if address := _address(level):
            first = seen.setdefault(same_node(address), level.item)
            if first is not level.item:
                text = f"the same host as {first.place.path} in line {first.place.line}"
                problems.add(level.item.place, text)


def _is_host(levels: Levels, address: Address) -> bool:
    return any(same_node(address) == same_node(other) for level in levels.hosts if (other := _address(level)))


def _all_hosts_known(levels: Levels) -> bool:
    hosts = levels.settings.get("hosts")
    return hosts is not None and len(levels.hosts) == len(hosts.value) and all(map(_address, levels.hosts))


def _anchor_is_host(levels: Levels, problems: Problems) -> None:
    anchor = levels.settings.get("anchor")
    if anchor and _all_hosts_known(levels) and not _is_host(levels, anchor.parsed):
        problems.add(anchor.place, f"{written(anchor.value)} is not one of the hosts of {levels.name}")


def _keys_are_of_hosts(levels: Levels, problems: Problems) -> None:
    """Only the environment's own table: `[defaults]` may pin hosts of other environments."""
    if not _all_hosts_known(levels):
        return
    names = [address.name for level in levels.hosts if (address := _address(level))]
    for name, node in table(levels.section.get("host_key")).items():
        if not _is_host(levels, host_address(name)):
            hint = did_you_mean(name, names)
            problems.add(node.place, "not one of the hosts" + (f"; {hint}" if hint else ""))


def _commands_complete(levels: Levels, problems: Problems) -> None:
    commands = [levels.settings.get("restart"), *table(levels.settings.get("hooks")).values()]
    for node in commands:
        if node and not node.bad and "run" not in node.value:
            problems.add(Place(node.place.line, node.below("run")), "missing; expected a shell command")


def _processes_complete(levels: Levels, problems: Problems) -> None:
    """An environment or host may add a process, but one without a command is rather a name written wrongly."""
    for processes in (levels.processes, *(level.processes for level in levels.hosts)):
        for name, node in table(processes).items():
            if name not in levels.declared and "command" not in node.value:
                hint = did_you_mean(name, levels.declared)
                text = f"there is no [process.{name}] that this changes, and it has no command of its own"
                problems.add(node.place, text + (f"; {hint}" if hint else ""))


def _ports_distinct(levels: Levels, problems: Problems) -> None:
    for processes in (levels.processes, *(level.processes for level in levels.hosts)):
        seen: dict[str, Node] = {}
        for node in table(processes).values():
            if listen := node.get("listen"):
                first = seen.setdefault(listen.parsed, listen)
                if first is not listen:
                    text = f"the same address as {first.place.path} in line {first.place.line}"
                    problems.add(listen.place, text)


def check_environments(levels: Iterable[Levels], problems: Problems) -> None:
    """Note environments that would listen in the same place on one host."""
    seen: dict[tuple[tuple[str, int, str], str], tuple[str, Node]] = {}
    for one in levels:
        for level in one.hosts:
            address = _address(level)
            for process in table(level.processes).values():
                listen = process.get("listen")
                if address and listen and not listen.bad:
                    place = (same_node(address), listen.parsed.rpartition(":")[2])
                    name, first = seen.setdefault(place, (one.name, listen))
                    if name != one.name:
                        _note_clash(one, address, listen, name, first, problems)


def _note_clash(levels: Levels, address: Address, listen: Node, other: str, first: Node, problems: Problems) -> None:
    port = listen.parsed.rpartition(":")[2]
    text = f"port {port} on {address.name} is taken by env.{other} (line {first.place.line})"
    problems.add(_missing(levels, "process"), f"{text}; give one of the two another `listen`")


def _secrets_apart(levels: Levels, problems: Problems) -> None:
    secrets = levels.settings.get("secrets")
    names = [node for node in (secrets.value if secrets else ()) if not node.bad]
    _no_twins(names, problems)
    for variables in (levels.settings.get("vars"), *(level.item.get("vars") for level in levels.hosts)):
        for node in {node.parsed: node for node in reversed(names)}.values():
            if other := table(variables).get(node.parsed):
                text = f"{node.parsed} is among the vars too, in line {other.place.line}"
                problems.add(node.place, text)


def _no_twins(nodes: Iterable[Node], problems: Problems) -> None:
    seen: set[str] = set()
    for node in nodes:
        if node.parsed in seen:
            problems.add(node.place, f"{written(node.parsed)} is there twice")
        seen.add(node.parsed)


def _shared_apart(levels: Levels, problems: Problems) -> None:
    shared = levels.settings.get("shared")
    nodes = [node for node in (shared.value if shared else ()) if not node.bad]
    for index, node in enumerate(nodes):
        path = node.parsed.rstrip("/") + "/"
        for other in nodes[:index]:
            above = other.parsed.rstrip("/") + "/"
            if path.startswith(above) or above.startswith(path):
                text = f"overlaps {written(other.value)} in line {other.place.line}"
                problems.add(node.place, text)


_CHECKS: tuple[Callable[[Levels, Problems], None], ...] = (
    _hosts_present,
    _hosts_distinct,
    _anchor_is_host,
    _keys_are_of_hosts,
    _commands_complete,
    _processes_complete,
    _ports_distinct,
    _secrets_apart,
    _shared_apart,
)
