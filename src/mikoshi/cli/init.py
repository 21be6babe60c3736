"""`mikoshi init`: the first mikoshi.toml of an application, from what its directory seems to hold."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mikoshi.cli.parser import Parser, Verbs, verb

if TYPE_CHECKING:
    from mikoshi.config.starting import Found

Ask = Callable[[str], str]


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "init", run, "write a first mikoshi.toml for the application in this directory",
        "Look at the directory and write a commented mikoshi.toml that passes `mikoshi check`. On a terminal, ask\n"
        "what the files do not say. Nothing is deployed, and a mikoshi.toml that is there is not touched.",
    )  # fmt: skip
    parser.add_argument("--app", metavar="NAME", help="the application's name (that of the directory)")
    parser.add_argument("--host", action="append", metavar="HOST", help="deploy to this host (may be repeated)")
    parser.add_argument(
        "--force", action="store_true", help="put a mikoshi.toml that is there aside, as mikoshi.toml.old"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the file. Raises WrongUsage if one is there or a name is not possible."""
    from mikoshi.config.configuration import FILE, read
    from mikoshi.config.starting import app_name, detect, directory_listing, first_file

    root = Path(arguments.directory)
    file = root / FILE
    _check_place(file, force=arguments.force)
    app = _checked_app(arguments.app) if arguments.app else app_name(root.resolve().name)
    found = detect(directory_listing(root))
    print(f"found: {found.kind}, because of {found.because}" if found.kind else "found: nothing that says how it runs")
    ask = _ask()
    if not found.kind and ask:
        found = _asked_command(found, ask)
    hosts = _checked_hosts(arguments.host) if arguments.host else _asked_hosts(ask) if ask else []
    text = first_file(app, found, hosts)
    read(text.encode(), file)
    lines = _write(file, text)
    for line in (*lines, *(f"note: {note}" for note in (*found.notes, *_notes(root)))):
        print(line)
    print(_next(hosts))
    return 0


def _check_place(file: Path, *, force: bool) -> None:
    from mikoshi.core.errors import WrongUsage

    if not file.parent.is_dir():
        raise WrongUsage(f"there is no directory {file.parent}")
    if not os.path.lexists(file):
        return
    if not force:
        raise WrongUsage(f"{file} is there already, and was not touched (--force puts it aside)")
    if os.path.lexists(_aside(file)):
        raise WrongUsage(f"{_aside(file)} is there already, too: nothing was touched")


def _aside(file: Path) -> Path:
    return file.with_name(f"{file.name}.old")


def _write(file: Path, text: str) -> list[str]:
    """Write mikoshi.toml and .gitignore; a line for each thing that was done. Raises WrongUsage."""
    from mikoshi.config.starting import with_ignored
    from mikoshi.core.errors import WrongUsage

    done, ignoring = [], file.with_name(".gitignore")
    try:
        if os.path.lexists(file):
            file.rename(_aside(file))
            done.append(f"kept: {_aside(file).name}, as it was")
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
        done.append(f"wrote: {file.name}")
        before = ignoring.read_bytes().decode(errors="surrogateescape") if ignoring.exists() else ""
        after = with_ignored(before)
        if after != before:
            ignoring.write_bytes(after.encode(errors="surrogateescape"))
            done.append("wrote: .gitignore, which has .mikoshi/ now: secrets may stand there")
    except OSError as error:
        raise WrongUsage(f"{error.filename} cannot be written: {error.strerror}") from error
    return done


def _notes(root: Path) -> list[str]:
    """What somebody may not expect: an application around this one."""
    from mikoshi.config.configuration import FILE

    above = [parent for parent in root.resolve().parents if (parent / FILE).is_file()]
    return [f"{above[0] / FILE} is there as well; in this directory, the new one counts"] if above else []


def _next(hosts: Sequence[str]) -> str:
    further = "" if hosts else ' and put your hosts in the place of "local", which is this machine'
    return (
        f"\nRead mikoshi.toml{further}. Then:\n"
        "  mikoshi check --hosts   whether a deploy could work\n"
        "  mikoshi deploy          do it"
    )


# ── questions ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _ask() -> Ask | None:
    """How to ask: on a terminal only, and never in CI."""
    if os.environ.get("CI") or not sys.stdin.isatty():
        return None

    def ask(question: str) -> str:
        try:
            return input(question).strip()
        except EOFError:
            print()
            return ""

    return ask


def _asked_command(found: Found, ask: Ask) -> Found:
    """What only a person can say of an application that was not recognized."""
    command = ask("What starts the application? A command, or nothing if it is files alone: ")
    if not command:
        return found
    while port := ask("On which port does it answer HTTP? Nothing if it does not: "):
        if port.isascii() and port.isdigit() and 0 < int(port) < 65536:
            return replace(found, processes={"web": command}, listen=int(port))
        print("  a port is a number from 1 to 65535")
    return replace(found, processes={"web": command})


def _asked_hosts(ask: Ask) -> list[str]:
    from mikoshi.core.errors import WrongUsage

    while words := ask("Which hosts? Like deploy@web1.example.com, several with spaces; nothing for later: "):
        try:
            return _checked_hosts(words.replace(",", " ").split())
        except WrongUsage as error:
            print(f"  {error.reason}")
    return []


def _checked_hosts(hosts: Sequence[str]) -> list[str]:
    """Raises WrongUsage unless all are hosts, and different ones."""
    from mikoshi.config.problems import Unexpected
    from mikoshi.config.values import addresses
    from mikoshi.core.errors import WrongUsage

    seen: dict[object, str] = {}
    for given in hosts:
        try:
            machine = addresses.same_node(addresses.host(given))
        except Unexpected as error:
            raise WrongUsage(f"host: {error.text(given)}") from error
        if machine in seen:
            raise WrongUsage(f"{seen[machine]!r} and {given!r} are one host")
        seen[machine] = given
    return list(hosts)


def _checked_app(name: str) -> str:
    from mikoshi.config.problems import Unexpected
    from mikoshi.config.values import text
    from mikoshi.core.errors import WrongUsage

    try:
        return text.name(name)
    except Unexpected as error:
        raise WrongUsage(f"app: {error.text(name)}") from error
