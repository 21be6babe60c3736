"""What of the configuration is a deployment's settings, and what never changes their digest."""

from __future__ import annotations

from mikoshi.config.settings import settings_of
from mikoshi.core.deployment import settings_from_json
from tests.config.reading import production

BASE = """\
[process.web]
command = "serve"
listen = 8080
[defaults]
run_as = "shop"
vars = { A = "1" }
shared = ["media/"]
secrets = ["KEY"]
restart = { run = "restart", within = "1m" }
hooks = { after_activate = "warm" }
[env.production]
hosts = ["web1", { ssh = "web2", vars = { A = "1", B = "2" } }, { ssh = "web3", process.web = { listen = 9090 } }]
"""
WEB = {
    "command": "serve",
    "listen": "127.0.0.1:8080",
    "health": {"path": "/", "within": 30.0, "explicit": False, "site": ""},
    "instances": 1,
    "stop": {"signal": "TERM", "within": 30.0},
    "replace": "",
    "limits": {},
}


def test_settings_hold_what_reaches_the_application_and_hosts_only_what_differs() -> None:
    settings = settings_of(production(BASE), {"KEY": "mac"})
    assert settings.to_json() == {
        "processes": {"web": WEB},
        "vars": {"A": "1"},
        "hosts": {"web2": {"vars": {"B": "2"}}, "web3": {"processes": {"web": {**WEB, "listen": "127.0.0.1:9090"}}}},
        "shared": ["media/"],
        "assets": [],
        "hooks": {"after_activate": {"run": "warm", "within": 300.0}},
        "run_as": "shop",
        "restart": {"run": "restart", "within": 60.0},
        "replaces": "",
        "secrets": {"KEY": "mac"},
    }
    assert settings_from_json(settings.to_json()) == settings


def test_how_processes_are_kept_is_a_setting_and_checks_ask_for_the_first_domain() -> None:
    kept = """listen = 8080
instances = 2
replace = "stop-first"
limits = { memory = "64M", cpu = 1 }
stop = { signal = "SIGQUIT", within = "1m" }
"""
    text = BASE.replace("listen = 8080\n", kept)
    text = text.replace("[env.production]\n", '[env.production]\ndomains = ["Shop.example.com", "b.example.com"]\n')
    web = settings_of(production(text), {"KEY": "mac"}).to_json()["processes"]["web"]
    assert web["health"]["site"] == "shop.example.com"
    assert (web["instances"], web["replace"]) == (2, "stop-first")
    assert web["limits"] == {"memory": 64 << 20, "cpu": 1.0}
    assert web["stop"] == {"signal": "QUIT", "within": 60.0}


def test_a_host_gets_its_own_values_out_of_them() -> None:
    settings = settings_of(production(BASE), {})
    assert settings.for_host("web1").vars == {"A": "1"}
    assert settings.for_host("web2").vars == {"A": "1", "B": "2"}
    assert settings.for_host("web3").processes["web"]["listen"] == "127.0.0.1:9090"


def test_how_a_deployment_travels_is_no_setting() -> None:
    digest = settings_of(production(BASE), {}).digest()
    travel = 'keep = 9\nsource = "clean"\nssh = "openssh"\nanchor = "web2"\nrollout = { step = 1 }\npath = "/opt"\n'
    assert settings_of(production(f"{BASE}{travel}"), {}).digest() == digest


def test_a_changed_variable_or_secret_is_another_digest() -> None:
    settings = settings_of(production(BASE), {"KEY": "one"})
    assert settings_of(production(BASE), {"KEY": "two"}).digest() != settings.digest()
    assert (
        settings_of(production(BASE.replace('A = "1" }\ns', 'A = "2" }\ns')), {"KEY": "one"}).digest()
        != settings.digest()
    )
