"""`hosts`: the nodes of an environment, and what single ones have of their own."""

from __future__ import annotations

from mikoshi.config.schema import Items, Later, Leaf, Names, Table
from mikoshi.config.sections.process import PROCESSES
from mikoshi.config.sections.ssh import HOST_KEY
from mikoshi.config.values.addresses import host
from mikoshi.config.values.text import variable, variable_value

VARS = Names(variable, Leaf(variable_value))
HOST = Table(
    {"ssh": Leaf(host), "vars": VARS, "process": PROCESSES, "host_key": HOST_KEY, "instances": Later()},
    short="ssh",
    required=("ssh",),
)
HOSTS = Items(HOST, "a list of hosts", table_later=True)
