"""The text of a first mikoshi.toml, commented for the person who goes on from it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mikoshi.config.model import BuildStep
from mikoshi.config.show import toml_value
from mikoshi.config.starting.detect import Found

_IGNORED = "/.mikoshi/"
_IGNORING = {".mikoshi", ".mikoshi/", "/.mikoshi", _IGNORED}


def app_name(directory: str) -> str:
    """A name for the application, from that of its directory."""
    name = re.sub(r"[^a-z0-9]+", "-", directory.lower()).strip("-")[:63].strip("-")
    return name or "app"


def with_ignored(gitignore: str) -> str:
    """The text of .gitignore with `.mikoshi/` in it: secrets and local state are no part of the source."""
    if any(line.strip() in _IGNORING for line in gitignore.splitlines()):
        return gitignore
    return gitignore + ("\n" if gitignore and not gitignore.endswith("\n") else "") + f"{_IGNORED}\n"


def first_file(app: str, found: Found, hosts: Sequence[str] = ()) -> str:
    """The text of mikoshi.toml; without `hosts` it deploys to this machine, and a comment shows the way on."""
    parts = [
        _head(app, found),
        _release(found),
        *(_process(name, command, found) for name, command in found.processes.items()),
        _defaults(app, found),
        _environment(hosts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(app: str, found: Found) -> str:
    seen = f" for {found.kind}, because of {found.because}" if found.kind else ""
    comment = [f"# Made by `mikoshi init`{seen}. `mikoshi config docs` explains every key.", *_comments(found.notes)]
    return "\n".join([*comment, f"app = {toml_value(app)}"])


def _comments(notes: Sequence[str]) -> list[str]:
    return ["# " + re.sub(r"[\x00-\x1f\x7f]", " ", f"{note[:1].upper()}{note[1:]}") for note in notes]


def _release(found: Found) -> str:
    lines = ["[release]", f"exclude = {toml_value(list(found.exclude))}   # besides what .gitignore names"]
    for step in found.build:
        lines += ["", *_build(step)]
    if not found.kind:
        lines += ["", "# What has to be made before it can run:", *(f"# {line}" for line in _build(_EXAMPLE))]
    return "\n".join(lines)


_EXAMPLE = BuildStep("make", ("Makefile", "src/"), ("build/",))


def _build(step: BuildStep) -> list[str]:
    lines = ["[[release.build]]", f"run = {toml_value(step.run)}"]
    if step.inputs:
        lines.append(f"inputs = {toml_value(list(step.inputs))}   # unchanged: not run again")
    return [*lines, f"outputs = {toml_value(list(step.outputs))}   # packed, whatever git ignores"]


def _process(name: str, command: str, found: Found) -> str:
    lines = [f"[process.{name}]", f"command = {toml_value(command)}   # stays in the foreground"]
    if name == "web" and found.listen:
        if "{fd}" not in command:
            lines.insert(1, "# It has to use the socket that it is given: {fd}, $LISTEN_FDS or $SERVER_STARTER_PORT.")
        lines += [
            f"listen = {found.listen}   # where it answers",
            '# health = { path = "/up" }   # must answer with 2xx or 3xx; without it "/" must answer below 500',
        ]
    return "\n".join(lines)


def _defaults(app: str, found: Found) -> str:
    lines = ["[defaults]", 'style = "push"']
    if found.vars:
        lines.append(f"vars = {{ {', '.join(f'{name} = {toml_value(value)}' for name, value in found.vars.items())} }}")
    lines += [
        '# secrets = ["SECRET_KEY"]   # values from the environment or .mikoshi/secrets.ENV, never from here',
        '# shared = ["media/"]        # directories that outlive deployments',
    ]
    return "\n".join([*lines, *_restart(app, found)])


def _restart(app: str, found: Found) -> list[str]:
    if found.processes:
        return [
            f"# replaces = {toml_value(f'{app}.service')}   # what ran it until now; the first deploy takes its place"
        ]
    if found.kind:
        root = f"/srv/mikoshi/{app}/production/current/{found.because.removesuffix('index.html')}".rstrip("/")
        return [f"# Nothing is restarted: point the web server at {root}"]
    return [f"# restart = {toml_value(f'sudo systemctl restart {app}')}   # starts the application anew on a host"]


def _environment(hosts: Sequence[str]) -> str:
    if hosts:
        return f"[env.production]\nhosts = {toml_value(list(hosts))}"
    example = 'hosts = ["deploy@web1.example.com", "deploy@web2.example.com"]'
    return f'[env.production]\n# {example}\nhosts = ["local"]   # this machine, until there is a server'
