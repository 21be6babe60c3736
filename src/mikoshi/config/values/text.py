"""Names, choices and other strings."""

from __future__ import annotations

import re

from mikoshi.config.check import NOT_YET
from mikoshi.config.problems import Unexpected, did_you_mean, written
from mikoshi.config.schema import Parse

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?")
_HOST_KEY = re.compile(r"((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+) ([A-Za-z0-9+/]{20,}={0,3})(?: .*)?")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")
_OURS = "MIKOSHI_"


def name(value: object) -> str:
    """The name of an application, an environment or a process: it becomes part of paths on the nodes."""
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    raise Unexpected('a name of at most 63 small letters, digits and "-", like "shop"')


def _variable(value: object, what: str, hide: bool) -> str:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise Unexpected(what, hide=hide)
    if value.startswith(_OURS):
        raise Unexpected(what, f"names that begin with {_OURS} are Mikoshi's own")
    return value


def variable(value: object) -> str:
    """The name of an environment variable."""
    return _variable(value, 'the name of a variable, like "THREADS"', hide=False)


def secret_name(value: object) -> str:
    """The name of a secret. What is written in its place may be a secret itself: it is never shown."""
    return _variable(value, 'only the name of a secret, like "SECRET_KEY"', hide=True)


def variable_value(value: object) -> str:
    """The value of an environment variable."""
    if isinstance(value, str) and "\0" not in value:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise Unexpected("a string", f'in quotes: "{value}"')
    raise Unexpected("a string")


def command(value: object) -> str:
    """A shell command."""
    if isinstance(value, str) and value.strip() and "\0" not in value:
        return value
    raise Unexpected("a shell command")


def pattern(value: object) -> str:
    """A pattern as in .gitignore."""
    if isinstance(value, str) and value.strip() and not re.search(r"[\0\n]", value):
        return value
    raise Unexpected('a pattern as in .gitignore, like "t/" or "*.log"')


def user(value: object) -> str:
    """The name of a system user."""
    if isinstance(value, str) and _USER.fullmatch(value):
        return value
    raise Unexpected('the name of a user, like "shop"')


def domain(value: object) -> str:
    """A name that the application is reached by."""
    text = value.lower() if isinstance(value, str) else ""
    if not _DOMAIN.fullmatch(text):
        raise Unexpected('a name like "shop.example.com"', "without https:// and path" if "/" in text else "")
    return text


def unit(value: object) -> str:
    """The name of a service of systemd; ".service" may be left out."""
    text = value if isinstance(value, str) else ""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9:_.@\\-]{0,200}", text):
        raise Unexpected('a service of systemd like "shop.service"')
    return text if text.endswith(".service") else f"{text}.service"


def url_path(value: object) -> str:
    """The path of a health check."""
    if isinstance(value, str) and re.fullmatch(r"/[!-~]*", value):
        return value
    raise Unexpected('a path that begins with "/", like "/up"')


def host_key(value: object) -> str:
    """A host's key: its fingerprint, or the public key itself; a comment after that is left out."""
    text = value.strip() if isinstance(value, str) else ""
    if _FINGERPRINT.fullmatch(text):
        return text
    match = _HOST_KEY.fullmatch(text)
    if match is None:
        hint = "a host name with dots is written in quotes" if isinstance(value, dict) else ""
        raise Unexpected('a fingerprint "SHA256:…" or a public key "ssh-ed25519 AAAA…"', hint)
    return f"{match.group(1)} {match.group(2)}"


def build_place(value: object) -> str:
    """Where build steps run."""
    if isinstance(value, str) and (value in ("auto", "local", "hosts") or re.fullmatch(r"ssh://[^\s/-][^\s/]*", value)):
        return value
    raise Unexpected('"auto", "local", "hosts" or "ssh://user@host"')


def choice(*built: str, later: tuple[str, ...] = ()) -> Parse:
    """A parser for one of some words; those of `later` are known and not built yet."""
    words = [written(word) for word in (*built, *later)]
    expected = " or ".join([", ".join(words[:-1]), words[-1]])

    def parse(value: object) -> str:
        if isinstance(value, str) and value in built:
            return value
        if isinstance(value, str) and value in later:
            raise NotBuilt(value)
        raise Unexpected(expected, did_you_mean(value, (*built, *later)) if isinstance(value, str) else "")

    return parse


class NotBuilt(Unexpected):
    """A word that is known and not built yet."""

    def text(self, value: object) -> str:
        """The sentence for `value`."""
        return f"{written(value)}: {NOT_YET}"
