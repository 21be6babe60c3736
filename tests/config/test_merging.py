"""Levels: tables merge, lists and single values replace, environments are apart, and every value knows its line."""

from __future__ import annotations

import pytest

from mikoshi.config.model import Command, Environment, Health, Host, SshConfig
from mikoshi.core.address import Address
from mikoshi.core.errors import EnvironmentUnknown
from mikoshi.core.rollout import Amount, Policy
from tests.config.reading import FILE, configuration, production

LEVELS = """\
app = "shop"
[release]
exclude = ["t/"]
[[release.build]]
run = "make"
outputs = ["built/"]
[process.web]
listen = 8080
health = { path = "/up" }
[defaults]
run_as = "shop"
shared = ["media/", "logs/"]
vars = { A = "1", B = "1" }
ssh = { connect = "5s", connections = 3 }
rollout = { first = 2, step = "50%" }
hooks = { before_activate = "a", after_activate = { run = "b", within = "1m" } }
restart = { run = "restart", within = "9s" }
[env.staging]
hosts = ["local"]
[env.production]
shared = ["media/"]
vars = { B = "2" }
ssh = "openssh"
rollout.bake = "10s"
hooks = { after_activate = { within = "2m" } }
restart = "again"
hosts = [
  "web1",
  { ssh = "web2", vars = { B = "3" }, process.web = { listen = 9090 } },
]
[env.production.process.web.health]
within = "5s"
"""


def test_a_configuration_that_says_little_gives_the_defaults_of_the_model() -> None:
    found = production('[env.production]\nhosts = ["local"]')
    expected = Environment(
        app="shop", name="production", style="push", root=FILE.parent, hosts=(Host(Address("local")),), anchor="local",
        notes=("no process has `listen`: health is not checked",),
    )  # fmt: skip
    assert found == expected


def test_tables_merge_and_everything_else_replaces() -> None:
    found = configuration(LEVELS).environment("production")
    assert found.shared == ("media/",)
    assert found.run_as == "shop"
    assert found.vars == {"A": "1", "B": "2"}
    assert found.rollout == Policy(first=Amount(count=2), step=Amount(percent=50), bake=10.0)
    assert found.hooks == {"before_activate": Command("a", 300.0), "after_activate": Command("b", 120.0)}


def test_a_short_form_replaces_the_table_it_stands_over() -> None:
    found = configuration(LEVELS).environment("production")
    assert found.ssh == SshConfig(client="openssh")
    assert found.restart == Command("again", 300.0)


def test_a_host_is_the_last_level() -> None:
    web1, web2 = configuration(LEVELS).environment("production").hosts
    health = Health("/up", 5.0, explicit=True)
    assert (web1.processes["web"].listen, web1.vars) == ("127.0.0.1:8080", {})
    assert (web2.processes["web"].listen, web2.vars) == ("127.0.0.1:9090", {"B": "3"})
    assert web1.processes["web"].health == web2.processes["web"].health == health


def test_environments_inherit_nothing_from_each_other() -> None:
    staging = configuration(LEVELS).environment("staging")
    assert staging.shared == ("media/", "logs/")
    assert staging.vars == {"A": "1", "B": "1"}
    assert staging.restart == Command("restart", 9.0)
    assert staging.processes["web"].health.within == 30.0


def test_every_value_is_shown_with_the_line_it_comes_from() -> None:
    rows = {row.key: (row.value, row.origin) for row in configuration(LEVELS).show("production")}
    assert rows == {
        "app": ('"shop"', "mikoshi.toml:1"),
        "release.exclude": ('["t/"]', "mikoshi.toml:3"),
        "release.build_on": ('"auto"', "default"),
        "release.build[0].run": ('"make"', "mikoshi.toml:5"),
        "release.build[0].outputs": ('["built/"]', "mikoshi.toml:6"),
        "process.web.listen": ("8080", "mikoshi.toml:8"),
        "process.web.instances": ("1", "default"),
        "process.web.stop.signal": ('"TERM"', "default"),
        "process.web.stop.within": ('"30s"', "default"),
        "process.web.health.path": ('"/up"', "mikoshi.toml:9"),
        "process.web.health.within": ('"5s"', "mikoshi.toml:32"),
        "style": ('"push"', "default"),
        "hosts[0].ssh": ('"web1"', "mikoshi.toml:28"),
        "hosts[1].ssh": ('"web2"', "mikoshi.toml:29"),
        "hosts[1].vars.B": ('"3"', "mikoshi.toml:29"),
        "hosts[1].process.web.listen": ("9090", "mikoshi.toml:29"),
        "anchor": ('"web1"', "default"),
        "run_as": ('"shop"', "mikoshi.toml:11"),
        "source": ('"tree"', "default"),
        "keep": ("5", "default"),
        "vars.A": ('"1"', "mikoshi.toml:13"),
        "vars.B": ('"2"', "mikoshi.toml:22"),
        "secrets": ("[]", "default"),
        "secrets_from": ('".mikoshi/secrets.production"', "default"),
        "shared": ('["media/"]', "mikoshi.toml:21"),
        "domains": ("[]", "default"),
        "restart.run": ('"again"', "mikoshi.toml:26"),
        "restart.within": ('"5m"', "default"),
        "hooks.before_activate.run": ('"a"', "mikoshi.toml:16"),
        "hooks.before_activate.within": ('"5m"', "default"),
        "hooks.after_activate.run": ('"b"', "mikoshi.toml:16"),
        "hooks.after_activate.within": ('"2m"', "mikoshi.toml:25"),
        "rollout.first": ("2", "mikoshi.toml:15"),
        "rollout.step": ('"50%"', "mikoshi.toml:15"),
        "rollout.bake": ('"10s"', "mikoshi.toml:24"),
        "rollout.max_failures": ("0", "default"),
        "rollout.max_unreachable": ("0", "default"),
        "ssh.client": ('"openssh"', "mikoshi.toml:23"),
        "ssh.connect": ('"10s"', "default"),
        "ssh.keepalive": ('"15s"', "default"),
        "ssh.connections": ("100", "default"),
    }


def test_an_environment_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(EnvironmentUnknown) as caught:
        configuration(LEVELS).environment("prod")
    assert caught.value.known == ["staging", "production"]


def test_the_anchor_is_found_however_it_is_written() -> None:
    hosts = 'hosts = ["web1", "deploy@web2:2222"]'
    assert production(f'[env.production]\nanchor = "web2:2222"\n{hosts}').anchor == "web2:2222"
    assert production(f'[env.production]\nanchor = "deploy@web1:22"\n{hosts}').anchor == "web1"


def test_a_pinned_key_reaches_its_host_and_no_other() -> None:
    key, other = "SHA256:" + "A" * 43, "SHA256:" + "B" * 43
    found = production(
        f'[defaults.host_key]\nweb1 = "{key}"\nelsewhere = "{key}"\n'
        f'[env.production]\nhosts = ["root@web1", "web2", {{ ssh = "web3", host_key = "{other}" }}]'
    )
    assert [host.address.host_key for host in found.hosts] == [key, "", other]


def test_what_a_person_should_know_is_noted() -> None:
    found = production('[process.web]\ncommand = "x"\nlisten = 80\n[env.production]\nhosts = ["local"]')
    assert found.notes == ()
    watched = production('[process.web]\nlisten = 80\n[env.production]\nhosts = ["local"]')
    text = "without `command` or `restart` its health check may be answered by what ran before"
    assert watched.notes == (f"nothing starts process.web: {text}",)
    told = production('[defaults]\nrestart = "x"\n[process.web]\ncommand = "x"\n[env.production]\nhosts = ["local"]')
    assert told.notes == (
        "process.web: command is not run: `restart` starts the application, and requests may fail meanwhile",
        "no process has `listen`: health is not checked",
    )
