"""The chapter on push: an application goes to three nodes, is changed under load, broken, and brought back.

Its promise is that nobody goes without an answer: each act but the first one counts, and one that failed leads astray.
"""

from __future__ import annotations

import platform
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass

from mikoshi.cli.output import duration, size
from mikoshi.cli.probed import milliseconds
from mikoshi.cli.touring import story
from mikoshi.cli.touring.command import Ran, change, look
from mikoshi.cli.touring.ground import Ground, free_ports
from mikoshi.cli.touring.lack import Lack
from mikoshi.cli.touring.story import Astray
from mikoshi.cli.touring.watch import Seen, Watch, ask
from mikoshi.config.show import toml_value
from mikoshi.core import events as e

_NODES = ("web1", "web2", "web3")
_CONFIGURATION = """\
app = "shop"

[process.web]
command = '"$PYTHON" shop.py {{fd}}'
health = {{ path = "/up", within = "20s" }}

[env.production]
path = {path}
vars = {{ PYTHON = {python} }}
rollout = {{ first = 1, step = 2 }}
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

    def set_version(self, old: str, new: str) -> None:
        """The smallest change: another version's name."""
        self.edit(lambda text: text.replace(f'VERSION = "{old}"', f'VERSION = "{new}"'))

    @contextmanager
    def load(self, answers: Mapping[int, str]) -> Iterator[Watch]:
        """Ask every node all the time, and tell what was seen. `answers`: which version each deployment may show.

        Raises Astray if a request had no answer, or another one.
        """
        with Watch(self.ports) as watch:
            yield watch
        _tell_seen(watch.seen)
        expect_all_answered(watch.seen, {(seq, _page(version)) for seq, version in answers.items()})

    def check_answers(self, deployment: int, version: str) -> None:
        """Ask every node and tell. Raises Astray unless all answer with this deployment of this version."""
        print()
        for node, port in self.ports.items():
            answer = ask(node, port)
            print(f"  http://127.0.0.1:{port}  {node}: {answer.page or 'no answer'}  (deployment {answer.deployment})")
            if (answer.deployment, answer.page) != (deployment, _page(version)):
                raise Astray(f"{node} should answer with version {version}, deployment {deployment}")


def _page(version: str) -> str:
    return f"The shop, version {version}"


def lacks() -> list[Lack]:
    """What this machine has not that the shop's servers need."""
    system = platform.system() or "another system"
    if system == "Linux":
        return []
    remedy = "Run it on a Linux machine, or in a container of one. Deploying from here to Linux hosts works."
    return [Lack(f"servers that replace each other without a pause need Linux, and this is {system}", remedy)]


def tell(ground: Ground) -> None:
    """Tell the chapter. Raises Astray if a step did not do what it should."""
    ground.bring_shop()
    tour = _Tour(ground, dict(zip(_NODES, free_ports(len(_NODES)), strict=True)))
    _configure(tour)
    steps = [_first(tour), _change(tour), *_in_a_row(tour), _broken(tour), _back(tour)]
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
    print()
    story.say(
        """`command` starts a server; {fd} stands for the listening socket that it is to serve on. One node goes first,
        then the other two."""
    )


def _first(tour: _Tour) -> _Step:
    story.heading("First version")
    ran = change(tour.ground, "deploy", "-m", "first version")
    _expect(ran, 0)
    tour.check_answers(1, "1")
    return _Step("first version", _files(ran), ran, "deployment 1 runs")


def _change(tour: _Tour) -> _Step:
    story.heading("A change")
    story.say(
        """While it is deployed, each node is asked for its page all the time. The first one is probed as well: with
        --probe, `mikoshi deploy` itself measures what visitors get, before, during and after the change."""
    )
    print()
    tour.set_version("1", "2")
    url = f"http://127.0.0.1:{tour.ports[_NODES[0]]}/"
    with tour.load({1: "1", 2: "2"}):
        ran = change(
            tour.ground, "deploy", "-m", "second version", "--probe", url, "--probe-header", "X-Deployment"
        )  # fmt: skip
        _expect(ran, 0)
    expect_probed(ran.all(e.Probed))
    tour.check_answers(2, "2")
    print()
    story.say(
        """No request went unanswered, and each answer was the old version or the new one, whole. On each node the new
        server started beside the old one and had to prove itself before any visitor met it; then it was given the same
        listening socket, and the old one finished what it had begun. Only what differs was sent."""
    )
    return _Step("a change", 1, ran, "deployment 2 runs")


def _in_a_row(tour: _Tour) -> list[_Step]:
    story.heading("Several changes in a row under load")
    steps: list[_Step] = []
    with tour.load({seq: str(seq) for seq in range(2, 6)}) as watch:
        for version in (3, 4, 5):
            if steps:
                print()
            tour.set_version(str(version - 1), str(version))
            ran = change(tour.ground, "deploy", "-m", f"version {version}", short=True)
            _expect(ran, 0)
            steps.append(_Step(f"version {version}", 1, ran, f"deployment {version} runs"))
    tour.check_answers(5, "5")
    requests = sum(len(node.answers) for node in watch.seen)
    unanswered = sum(node.unanswered for node in watch.seen)
    slowest = max(node.slowest for node in watch.seen)
    print()
    story.say(
        f"""Three deployments on three nodes: nine times one server took the place of another. {requests:,} requests,
        {unanswered} without an answer; the slowest answer took {milliseconds(slowest)}."""
    )
    return steps


def _broken(tour: _Tour) -> _Step:
    story.heading("A version that does not work")
    working = (tour.ground.app / "shop.py").read_text()
    tour.edit(lambda text: text.replace("import os\n", "import discounts\nimport os\n").replace('"5"', '"6"'))
    with tour.load({5: "5"}):
        ran = change(tour.ground, "deploy", "-m", "discounts")
        _expect(ran, 6)
    if not any("No module named 'discounts'" in line for line in ran.error.splitlines()):
        raise Astray("the failure should have shown why the shop does not start")
    tour.check_answers(5, "5")
    print()
    story.say(
        f"""The discounts were forgotten, and the new version does not start. {_NODES[0]} tried it on a socket that
        no visitor knows, and said why it ended. It never served a request; on {_NODES[1]} and {_NODES[2]} it was not
        even tried. Nobody was without an answer, and no command was needed to stay with the version that works."""
    )
    (tour.ground.app / "shop.py").write_text(working)
    return _Step("a broken version", 1, ran, "deployment 5 runs on")


def _back(tour: _Tour) -> _Step:
    story.heading("Back to the version before")
    with tour.load({5: "5", 7: "4"}):
        ran = change(tour.ground, "rollback", "-m", "customers want the old one")
        _expect(ran, 0)
    tour.check_answers(7, "4")
    print()
    story.say(
        """A rollback is a new deployment of an older release. The nodes had all of it: nothing was sent. And it is as
        quiet as any other deployment."""
    )
    if ran.sent:
        raise Astray(f"the rollback should have sent nothing, but {size(ran.sent)} were")
    return _Step("rollback", 0, ran, "deployment 7 runs version 4")


def _expect(ran: Ran, code: int) -> None:
    if ran.code != code:
        raise Astray(f"the command should have ended with exit code {code}, not {ran.code}")


def expect_all_answered(seen: Sequence[Seen], allowed: AbstractSet[tuple[int, str]]) -> None:
    """Raise Astray if a request had no answer, or one that is not of these deployments, each with its own page."""
    for node in seen:
        for deployment, page in node.pages - allowed:
            raise Astray(f"{node.node} should not have answered {page!r} in deployment {deployment}")
        if node.unanswered:
            failed = f"{node.unanswered} of {len(node.answers)} had no answer"
            raise Astray(f"{node.node} should have answered every request; {failed}")


def expect_probed(reports: Sequence[e.Probed]) -> None:
    """Raise Astray unless there is a report of a probe in which no request failed."""
    failed = [kind for report in reports for phase in report.phases for kind in phase.failed]
    if not reports or failed:
        raise Astray(f"the probe should have seen no failure, but saw {', '.join(failed) or 'nothing'}")


def _files(ran: Ran) -> int:
    return sum(event.files for event in ran.all(e.Packed))


def _tell_seen(seen: list[Seen]) -> None:
    """What clients saw meanwhile."""
    print("\n  Meanwhile every node was asked all the time:")
    lines = [
        {
            "node": node.node,
            "asked": len(node.answers),
            "by": ", ".join(f"{seq}: {count}" for seq, count in sorted(node.by.items()) if seq),
            "none": node.unanswered or "none",
            "slowest": milliseconds(node.slowest),
        }
        for node in seen
    ]
    columns = {
        "node": "NODE", "asked": "REQUESTS", "by": "ANSWERED BY DEPLOYMENT", "none": "UNANSWERED", "slowest": "SLOWEST",
    }  # fmt: skip
    story.rows(lines, columns)


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
