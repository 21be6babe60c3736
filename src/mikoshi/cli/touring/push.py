"""The chapter on push: an application goes to three nodes, is changed, broken, and brought back."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mikoshi.cli.output import duration, size
from mikoshi.cli.touring import story
from mikoshi.cli.touring.command import Ran, change, look
from mikoshi.cli.touring.ground import Ground, free_ports
from mikoshi.cli.touring.story import Astray
from mikoshi.cli.touring.watch import Seen, Watch, ask
from mikoshi.config.show import toml_value
from mikoshi.core import events as e

_NODES = ("web1", "web2", "web3")
_CONFIGURATION = """\
app = "shop"

[process.web]
health = {{ path = "/up", within = "6s" }}

[env.production]
path = {path}
shared = ["var/"]
vars = {{ PYTHON = {python} }}
restart = '"$PYTHON" restart.py "$PYTHON" shop.py'
rollout = {{ first = 1, step = 1 }}
hosts = [
{hosts}
]
"""


@dataclass(frozen=True)
class _Step:
    """One line of the summary."""

    what: str
    changed: int
    ran: Ran
    result: str


@dataclass(frozen=True)
class _Tour:
    """The chapter under way: where it happens, and on which port each node answers."""

    ground: Ground
    ports: Mapping[str, int]

    def edit(self, change_of: Callable[[str], str]) -> None:
        """Change the application and show how."""
        file = self.ground.app / "shop.py"
        old = file.read_text()
        new = change_of(old)
        file.write_text(new)
        story.difference("shop.py", old, new)

    def deploy(self, *words: str) -> tuple[Ran, list[Seen]]:
        """Run a command while every node is asked all the time, and tell what was seen."""
        with Watch(self.ports) as watch:
            ran = change(self.ground, *words)
        _tell_seen(watch.seen)
        return ran, watch.seen

    def check_answers(self, deployment: int, version: str) -> None:
        """Ask every node and tell. Raises Astray unless all answer with this deployment of this version."""
        print()
        for node, port in self.ports.items():
            answer = ask(node, port)
            print(f"  http://127.0.0.1:{port}  {node}: {answer.page or 'no answer'}  (deployment {answer.deployment})")
            if (answer.deployment, answer.page) != (deployment, f"The shop, version {version}"):
                raise Astray(f"{node} should answer with version {version}, deployment {deployment}")


def tell(ground: Ground) -> None:
    """Tell the chapter. Raises Astray if a step did not do what it should."""
    ground.bring_shop()
    tour = _Tour(ground, dict(zip(_NODES, free_ports(len(_NODES)), strict=True)))
    _configure(tour)
    steps = [_first(tour), _second(tour), _broken(tour), _back(tour)]
    story.heading("What is remembered")
    for words in (("status",), ("history",)):
        if look(ground, *words) != 0:
            raise Astray(f"`mikoshi {words[0]}` should have ended with 0")
    story.heading("In short")
    _summarize(steps)


def _configure(tour: _Tour) -> None:
    hosts = "\n".join(
        f'    {{ ssh = "local/{node}", process = {{ web = {{ listen = {port} }} }} }},'
        for node, port in tour.ports.items()
    )
    text = _CONFIGURATION.format(
        path=toml_value(str(tour.ground.nodes)), python=toml_value(sys.executable), hosts=hosts
    )
    (tour.ground.app / "mikoshi.toml").write_text(text)
    story.say(
        f"""A small shop is in {tour.ground.shown}/shop. It goes to three nodes: directories below
        {tour.ground.shown}/nodes, each with a web server of its own, in the place of servers that would be reached over
        SSH. This is the whole of its mikoshi.toml:"""
    )
    print()
    print(textwrap.indent(text.rstrip(), "    "))


def _first(tour: _Tour) -> _Step:
    story.heading("First version")
    ran = change(tour.ground, "deploy", "-m", "first version")
    _expect(ran, 0)
    tour.check_answers(1, "1")
    return _Step("first version", _files(ran), ran, "deployment 1 runs")


def _second(tour: _Tour) -> _Step:
    story.heading("A change")
    tour.edit(lambda text: text.replace('VERSION = "1"', 'VERSION = "2"'))
    ran, seen = tour.deploy("deploy", "-m", "second version")
    _expect(ran, 0)
    _expect_whole(seen, {(1, "The shop, version 1"), (2, "The shop, version 2")})
    tour.check_answers(2, "2")
    print()
    story.say(
        """Every answer was the old version or the new one, whole. A node is silent while its server restarts, one node
        after the other; `restart` is this application's own. Only what differs was sent."""
    )
    return _Step("a change", 1, ran, "deployment 2 runs")


def _broken(tour: _Tour) -> _Step:
    story.heading("A version that does not work")
    working = (tour.ground.app / "shop.py").read_text()
    tour.edit(lambda text: text.replace("import os\n", "import discounts\nimport os\n").replace('"2"', '"3"'))
    ran, seen = tour.deploy("deploy", "-m", "discounts")
    _expect(ran, 6)
    if not any("No module named 'discounts'" in line for line in ran.error.splitlines()):
        raise Astray("the failure should have shown why the shop does not start")
    _expect_whole(seen, {(2, "The shop, version 2")})
    for node in seen[1:]:
        if node.by[0]:
            raise Astray(f"{node.node} should have answered all the time; {node.by[0]} requests had no answer")
    tour.check_answers(2, "2")
    print()
    story.say(
        f"""The discounts were forgotten, and the new version does not start. {seen[0].node} tried it first, was not
        healthy in time, and went back by itself; nobody typed a command. It was silent for {duration(seen[0].silent)}.
        {seen[1].node} and {seen[2].node} were never switched and answered every request:
        {len(seen[1].answers)} and {len(seen[2].answers)} of them."""
    )
    (tour.ground.app / "shop.py").write_text(working)
    return _Step("a broken version", 1, ran, "went back to deployment 2")


def _back(tour: _Tour) -> _Step:
    story.heading("Back to the first version")
    ran, seen = tour.deploy("rollback", "-m", "customers want the old one")
    _expect(ran, 0)
    _expect_whole(seen, {(2, "The shop, version 2"), (4, "The shop, version 1")})
    tour.check_answers(4, "1")
    print()
    story.say("A rollback is a new deployment of the older release. The nodes had all of it: nothing was sent.")
    if ran.sent:
        raise Astray(f"the rollback should have sent nothing, but {size(ran.sent)} were")
    return _Step("rollback", 0, ran, "deployment 4 runs version 1")


def _expect(ran: Ran, code: int) -> None:
    if ran.code != code:
        raise Astray(f"the command should have ended with exit code {code}, not {ran.code}")


def _expect_whole(seen: list[Seen], allowed: set[tuple[int, str]]) -> None:
    """No node may have answered with anything but these deployments, each with its own page."""
    for node in seen:
        for deployment, page in node.pages - allowed:
            raise Astray(f"{node.node} should not have answered {page!r} in deployment {deployment}")


def _files(ran: Ran) -> int:
    return sum(event.files for event in ran.all(e.Packed))


def _tell_seen(seen: list[Seen]) -> None:
    """What clients saw meanwhile."""
    print("\n  Meanwhile every node was asked all the time:")
    lines = [
        {
            "node": node.node,
            "asked": len(node.answers),
            "by": ", ".join(f"deployment {seq}: {count}" for seq, count in sorted(node.by.items()) if seq),
            "none": f"{node.by[0]} ({duration(node.silent)})" if node.by[0] else "none",
        }
        for node in seen
    ]
    story.rows(lines, {"node": "NODE", "asked": "REQUESTS", "by": "ANSWERED BY", "none": "WITHOUT AN ANSWER"})


def _summarize(steps: list[_Step]) -> None:
    lines = [
        {
            "what": step.what,
            "changed": step.changed,
            "sent": size(step.ran.sent),
            "there": size(step.ran.kept),
            "took": duration(step.ran.seconds),
            "result": step.result,
        }
        for step in steps
    ]
    columns = {
        "what": "WHAT", "changed": "FILES CHANGED", "sent": "SENT", "there": "THERE ALREADY", "took": "TOOK",
        "result": "RESULT",
    }  # fmt: skip
    story.rows(lines, columns)
