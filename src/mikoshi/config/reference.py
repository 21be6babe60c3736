"""The reference of mikoshi.toml, from the pages in `docs/`: what `mikoshi config docs` prints.

Each page is commented TOML and an example at once: all of them together are a valid configuration, and a test holds
their keys equal to the schema's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mikoshi.config.check import NOT_YET
from mikoshi.config.problems import did_you_mean
from mikoshi.config.schema import Items, Later, Leaf, Names, OtherStyle, Spec, Table
from mikoshi.config.sections.document import DOCUMENT
from mikoshi.core.errors import WrongUsage

SECTIONS = ("app", "release", "process", "defaults", "hooks", "rollout", "ssh", "env", "hosts")
# Tables with the keys of another one.
_SAID_ELSEWHERE = {("defaults",), ("env", "NAME", "process"), ("env", "NAME", "hosts", "process")}
_PAGES = Path(__file__).parent / "docs"


def docs(section: str = "") -> str:
    """The page of a section as commented TOML; "" is all of them. Raises WrongUsage for a section that is not there."""
    if not section:
        return "\n\n".join(docs(name).strip() for name in SECTIONS) + "\n"
    if section not in SECTIONS:
        hint = did_you_mean(section, SECTIONS)
        known = ", ".join(SECTIONS)
        raise WrongUsage(reason=f"there is no section {section!r}; {hint or f'the sections are {known}'}")
    return (_PAGES / f"{section}.toml").read_text(encoding="utf-8")


def markdown() -> str:
    """The whole reference as a Markdown page."""
    parts = [_HEAD, *(_section(docs(name)) for name in SECTIONS), _later()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


_HEAD = """# Configuration

All keys of `mikoshi.toml`, each with an example: what `mikoshi config docs` prints. `mikoshi config show ENV` prints
the values that an environment has and where each comes from. An unknown key and a value of the wrong kind are refused,
all of them at once, each with its line.

<!-- Made from src/mikoshi/config/docs/ by `python -m tools.configuration_reference`. -->"""


def _section(page: str) -> str:
    """A page as Markdown: the comment at its top is prose with a heading, the rest is TOML."""
    top, _, example = page.partition("\n\n")
    title, *prose = [line.removeprefix("#").strip() for line in top.splitlines()]
    text = "\n".join(prose).strip()
    return f"## {title}\n\n{text}\n\n```toml\n{example.strip()}\n```"


def _later() -> str:
    rows = [f"| `{'.'.join(path)}` |" for path in sorted(set(_not_built(DOCUMENT, ())))]
    head = f"""## Known, and {NOT_YET}

These keys have their meaning already. Until they are built they are an error that says so, and never ignored; the
tables of other styles may be there and wait for their style. `env.NAME` stands for `[defaults]` too."""
    return "\n".join([head, "", "| key |", "|---|", *rows])


def _not_built(spec: Spec, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    match spec:
        case Later():
            yield path
        case OtherStyle():
            yield from ((*path, key) for key in spec.keys)
        case Table():
            for key, below in spec.keys.items():
                if (*path, key) not in _SAID_ELSEWHERE:
                    yield from _not_built(below, (*path, key))
        case Names():
            yield from _not_built(spec.item, (*path, "NAME"))
        case Items():
            yield from _not_built(spec.item, path)
        case Leaf():
            return
