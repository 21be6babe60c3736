"""`[defaults]` and `[env.NAME]`: where the application goes and what it gets there."""

from __future__ import annotations

from mikoshi.config.schema import Items, Later, Leaf, OtherStyle, Table
from mikoshi.config.sections.commands import COMMAND, HOOKS
from mikoshi.config.sections.hosts import HOSTS, VARS
from mikoshi.config.sections.process import PROCESSES
from mikoshi.config.sections.rollout import ROLLOUT
from mikoshi.config.sections.ssh import HOST_KEYS, SSH
from mikoshi.config.values.addresses import host
from mikoshi.config.values.numbers import count
from mikoshi.config.values.paths import here, inside_tree, on_node
from mikoshi.config.values.text import choice, domain, secret_name, unit, user

STYLES: dict[str, OtherStyle] = {
    "pull": OtherStyle(frozenset({"store", "cut_off", "ready"})),
    "container": OtherStyle(
        frozenset({"image", "base", "dockerfile", "orchestrator", "docker", "registry", "build_args", "service"})
    ),
    "function": OtherStyle(frozenset({"definition", "endpoint"})),
    "cgi": OtherStyle(frozenset({"url"})),
    "edge": OtherStyle(frozenset({"provider", "main"})),
}
LATER = ("assets", "proxy", "tls", "notify", "queue", "allowed_signers")

ENVIRONMENT = Table(
    {
        "style": Leaf(choice("push", later=tuple(STYLES)), "push"),
        "hosts": HOSTS,
        "anchor": Leaf(host),
        "path": Leaf(on_node),
        "run_as": Leaf(user),
        "source": Leaf(choice("tree", "clean"), "tree"),
        "keep": Leaf(count(1, 1000), 5),
        "vars": VARS,
        "secrets": Items(Leaf(secret_name), "a list of names"),
        "secrets_from": Leaf(here),
        "shared": Items(Leaf(inside_tree), "a list of paths"),
        "restart": COMMAND,
        "replaces": Leaf(unit),
        "domains": Items(Leaf(domain), "a list of names"),
        "hooks": HOOKS,
        "rollout": ROLLOUT,
        "ssh": SSH,
        "host_key": HOST_KEYS,
        "process": PROCESSES,
        **{key: Later() for key in LATER},
        **STYLES,
    }
)
