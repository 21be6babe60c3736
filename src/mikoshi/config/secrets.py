"""Gives the secrets that an environment names their values: from the environment, a file, or a person.

A value is shown by nothing in here: not by an error, a note or a `repr`. Commands are run only for the secrets asked
for that the environment does not have.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mikoshi.config.model import Environment
from mikoshi.config.secrets_file import Entry, SecretsFile, parse_secrets
from mikoshi.core.errors import ConfigInvalid, SecretCommandFailed, SecretCommandTimeout, SecretsMissing

COMMAND_SECONDS = 60.0

# Asks a person for one secret by name; "" is no answer.
Prompt = Callable[[str], str]


@dataclass(frozen=True)
class Secrets:
    """The values by name, and what the person should know."""

    values: Mapping[str, str] = field(repr=False)
    notes: tuple[str, ...] = ()


def default_secrets(environment: str) -> str:
    """Where an environment's secrets are unless `secrets_from` says otherwise, relative to mikoshi.toml."""
    return f".mikoshi/secrets.{environment}"


def secrets_path(environment: Environment) -> Path:
    """The environment's file of secrets."""
    return environment.secrets_from or environment.root / default_secrets(environment.name)


def resolve(
    environment: Environment,
    variables: Mapping[str, str],
    prompt: Prompt | None = None,
    command_seconds: float = COMMAND_SECONDS,
) -> Secrets:
    """The values of the environment's secrets. `variables` are the deployer's own; an empty value is none.

    Raises ConfigInvalid (a line of the file is wrong), SecretCommandFailed, SecretCommandTimeout, SecretsMissing.
    """
    values = {name: variables[name] for name in environment.secrets if variables.get(name)}
    looked = ["the environment variables"]
    notes: tuple[str, ...] = ()
    path = secrets_path(environment)
    if len(values) < len(environment.secrets):
        content = _read(path, environment.root)
        looked.append(_shown(path, environment.root) + ("" if content else " (not there)"))
        if content:
            notes = _mode_notes(path, environment.root)
            wanted = [name for name in environment.secrets if name not in values and name in content.entries]
            for name in wanted:
                values[name] = _value(name, content.entries[name], environment, command_seconds)
    for name in environment.secrets:
        if prompt and not values.get(name):
            values[name] = prompt(name)
    if missing := [name for name in environment.secrets if not values.get(name)]:
        raise SecretsMissing(names=missing, looked=looked)
    return Secrets({name: values[name] for name in environment.secrets}, notes)


def secrets_problems(environment: Environment) -> list[str]:
    """What is wrong in the environment's file of secrets, if it is there; no command is run."""
    try:
        _read(secrets_path(environment), environment.root)
    except ConfigInvalid as error:
        return error.problems
    return []


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _read(path: Path, root: Path) -> SecretsFile | None:
    shown = _shown(path, root)
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        # Without its context: the exception holds the whole file.
        raise ConfigInvalid(problems=[f"{shown}:{line}: the file is not UTF-8 text"]) from None
    except OSError as error:
        raise ConfigInvalid(problems=[f"{shown}: cannot be read: {error.strerror}"]) from error
    content = parse_secrets(text.replace("\r\n", "\n"))
    if content.problems:
        raise ConfigInvalid(problems=[f"{shown}:{line}: {sentence}" for line, sentence in content.problems])
    return content


def _mode_notes(path: Path, root: Path) -> tuple[str, ...]:
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        shown = _shown(path, root)
        return (f"{shown} can be read by other users of this machine: chmod 600 {shown}",)
    return ()


def _value(name: str, entry: Entry, environment: Environment, seconds: float) -> str:
    if not entry.command:
        return entry.value
    where = f"{_shown(secrets_path(environment), environment.root)}:{entry.line}"
    status, output = _run(entry.command, environment.root, seconds)
    if status is None:
        raise SecretCommandTimeout(name=name, where=where, seconds=seconds)
    try:
        text = output.decode().rstrip("\n")
    except UnicodeDecodeError:
        raise SecretCommandFailed(name=name, where=where, status=status, reason="not UTF-8 text") from None
    if status or not text or "\0" in text:
        reason = "" if status else "it printed nothing" if not text else "not text"
        raise SecretCommandFailed(name=name, where=where, status=status, reason=reason)
    return text


def _run(command: str, directory: Path, seconds: float) -> tuple[int | None, bytes]:
    """The command's status (None: it ran out of time and was killed with all it started) and output."""
    import subprocess

    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, b""
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, output
