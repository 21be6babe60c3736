"""What an application seems to be, from the names of its files and the text of a few of them.

A guess that a person reads and corrects: where several things fit, the one that says most wins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mikoshi.config.model import BuildStep
from mikoshi.config.starting.listing import Listing


@dataclass(frozen=True)
class Found:
    """What was found: a `kind` for people, the file that says so, and what goes into the configuration.

    `processes` are commands by name; `listen` is the port of the process `web`, 0 for none. `notes` are things that the
    person has to know.
    """

    kind: str = ""
    because: str = ""
    processes: Mapping[str, str] = field(default_factory=dict)
    listen: int = 0
    build: tuple[BuildStep, ...] = ()
    vars: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


_PIP = "python3 -m pip install --target .deps"
_FRAMEWORKS = {"flask": "wsgi", "bottle": "wsgi", "fastapi": "asgi", "starlette": "asgi", "quart": "asgi"}
_IMPORT = re.compile(r"^\s*(?:from|import)\s+(\w+)", re.MULTILINE)
_VARIABLE = re.compile(r"^(\w+)\s*(?::[^=\n]*)?=\s*(?:\w+\.)?(?:Flask|Bottle|FastAPI|Starlette|Quart)\(", re.MULTILINE)
_PROCFILE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+?)\s*$", re.MULTILINE)


def detect(listing: Listing) -> Found:
    """What is in the directory; a Found without a kind if nothing is known."""
    found = next((one for look in _LOOKS if (one := look(listing))), Found())
    return _with_procfile(listing, found) if "Procfile" in listing.names else found


def _django(listing: Listing) -> Found | None:
    if "manage.py" not in listing.names or "django" not in listing.read("manage.py").lower():
        return None
    modules = sorted(name for name in listing.names if re.fullmatch(r"[A-Za-z_]\w*/wsgi\.py", name))
    module = modules[0].removesuffix(".py").replace("/", ".") if modules else "mysite.wsgi"
    return _python(listing, "Django", "manage.py", _wsgi(f"{module}:application"))


def _python_application(listing: Listing) -> Found | None:
    for name in ("wsgi.py", "asgi.py", "app.py", "main.py"):
        if name not in listing.names:
            continue
        text, module = listing.read(name), name.removesuffix(".py")
        kinds = {_FRAMEWORKS[found] for found in _IMPORT.findall(text) if found in _FRAMEWORKS}
        kind = module if module in ("wsgi", "asgi") else "asgi" if "asgi" in kinds else "".join(kinds)
        variable = _VARIABLE.search(text)
        target = f"{module}:{variable[1] if variable else _usual_name(text, module)}"
        if kind == "wsgi":
            return _python(listing, "Python (WSGI)", name, _wsgi(target))
        if kind == "asgi":
            return _python(listing, "Python (ASGI)", name, f"python3 -m mikoshi.drain uvicorn {target}")
    return None


def _usual_name(text: str, module: str) -> str:
    return "application" if module in ("wsgi", "asgi") and not re.search(r"^app\s*=", text, re.MULTILINE) else "app"


def _wsgi(target: str) -> str:
    return f"python3 -m gunicorn --bind fd://{{fd}} {target}"


def _python(listing: Listing, kind: str, because: str, command: str) -> Found:
    build = _python_build(listing)
    return Found(
        kind=kind,
        because=because,
        processes={"web": command},
        listen=8000,
        build=build,
        vars={"PYTHONPATH": ".deps"} if build else {},
    )


def _python_build(listing: Listing) -> tuple[BuildStep, ...]:
    if "requirements.txt" in listing.names:
        return (BuildStep(f"{_PIP} -r requirements.txt", ("requirements.txt",), (".deps/",)),)
    if "pyproject.toml" in listing.names and "[project]" in listing.read("pyproject.toml"):
        # The application itself is installed along with what it needs, so the step depends on every file.
        return (BuildStep(f"{_PIP} .", (), (".deps/",)),)
    return ()


def _perl(listing: Listing) -> Found | None:
    if "app.psgi" not in listing.names:
        return None
    needs = "cpanfile" in listing.names
    step = BuildStep("cpanm --notest --local-lib-contained local --installdeps .", ("cpanfile",), ("local/",))
    paths = [*(["lib"] if any(name.startswith("lib/") for name in listing.names) else [])]
    paths += ["local/lib/perl5"] if needs else []
    return Found(
        kind="Perl (PSGI)",
        because="app.psgi",
        processes={"web": "plackup -s Starlet --env production app.psgi"},
        listen=5000,
        build=(step,) if needs else (),
        vars={"PERL5LIB": ":".join(paths)} if paths else {},
        exclude=("t/",) if any(name.startswith("t/") for name in listing.names) else (),
    )


def _node(listing: Listing) -> Found | None:
    if "package.json" not in listing.names:
        return None
    try:
        package = json.loads(listing.read("package.json"))
    except (ValueError, RecursionError):
        return None
    scripts = package.get("scripts") if isinstance(package, dict) else None
    if not isinstance(scripts, dict) or not isinstance(scripts.get("start"), str):
        return None
    locked = "package-lock.json" in listing.names
    inputs = ("package.json", "package-lock.json") if locked else ("package.json",)
    install = f"npm {'ci' if locked else 'install'} --omit=dev"
    return Found(
        kind="Node",
        because="package.json",
        processes={"web": _node_command(scripts["start"])},
        listen=3000,
        build=(BuildStep(install, inputs, ("node_modules/",)),) if package.get("dependencies") else (),
        vars={"NODE_ENV": "production"},
    )


def _node_command(start: str) -> str:
    """Npm in between would keep signals and the socket from the server; what it would run is run without it."""
    program, _, rest = start.partition(" ")
    return f"node --require $MIKOSHI_DRAIN/node.js {rest or '.'}" if program == "node" else start


def _static(listing: Listing) -> Found | None:
    page = next((name for name in ("index.html", "public/index.html") if name in listing.names), None)
    return Found(kind="static files", because=page) if page else None


_LOOKS = (_django, _python_application, _perl, _node, _static)


def _with_procfile(listing: Listing, found: Found) -> Found:
    """A Procfile says what runs better than any guess; how it is built is still the language's affair."""
    commands = {_process_name(name): command for name, command in _PROCFILE.findall(listing.read("Procfile"))}
    release = commands.pop("release", None)
    if not commands:
        return found
    notes = (f"the Procfile's release command is not taken over: {release}",) if release else ()
    build = found.build or _python_build(listing)
    variables = {**found.vars, **({"PYTHONPATH": ".deps"} if build and ".deps/" in build[0].outputs else {})}
    return replace(
        found,
        kind=f"{found.kind}, with a Procfile" if found.kind else "Procfile",
        because="Procfile",
        processes=commands,
        listen=5000 if "web" in commands else 0,
        build=build,
        vars=variables,
        notes=notes,
    )


def _process_name(name: str) -> str:
    return re.sub(r"[^a-z0-9-]", "-", name.lower()).strip("-")[:63] or "process"
