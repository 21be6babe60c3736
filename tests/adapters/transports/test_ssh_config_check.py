"""What asyncssh would pass over in silence is refused by name, and only where it applies."""

from __future__ import annotations

from pathlib import Path

import pytest

from mikoshi.adapters.transports.settings import read_settings
from mikoshi.adapters.transports.ssh_config_check import UNSUPPORTED, refuse_unsupported
from mikoshi.adapters.transports.ssh_options import jump_address, place
from mikoshi.core.address import Address
from mikoshi.core.errors import SshConfigUnusable

FACTS = {"host": "10.0.0.1", "originalhost": "web1", "user": "deploy", "localuser": "me"}


def refused(tmp_path: Path, text: str) -> SshConfigUnusable | None:
    config = tmp_path / "config"
    config.write_text(text)
    try:
        refuse_unsupported([config], FACTS)
    except SshConfigUnusable as error:
        return error
    return None


@pytest.mark.parametrize("option", sorted(UNSUPPORTED))
def test_each_is_refused_with_its_place(tmp_path: Path, option: str) -> None:
    error = refused(tmp_path, f"Host *\n  User x\n  {option} = something\n")
    assert error is not None
    assert (error.place, error.option) == (f"{tmp_path / 'config'}:3", option)


@pytest.mark.parametrize("value", ["no", "None", "none"])
def test_switched_off_is_no_demand(tmp_path: Path, value: str) -> None:
    assert refused(tmp_path, f"ProxyUseFdpass {value}\n") is None


@pytest.mark.parametrize(
    ("block", "applies"),
    [
        ("Host web1", True),
        ("Host db1 web?", True),
        ("Host web* !web1", False),
        ("Host WEB1", True),
        ("Host db1", False),
        ("Match all", True),
        ("Match host 10.*", True),
        ("Match host web1", False),
        ("Match originalhost web1 user deploy,root", True),
        ("Match user root", False),
        ("Match !user root", True),
        ("Match localuser you", False),
        ("Match canonical host 10.0.0.1", True),
    ],
)
def test_only_what_applies_to_the_host_counts(tmp_path: Path, block: str, applies: bool) -> None:
    assert (refused(tmp_path, f"{block}\nProxyUseFdpass yes\n") is not None) == applies


def test_included_files_are_read_and_their_blocks_end_with_them(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Host other\nProxyUseFdpass yes\n")
    assert refused(tmp_path, f"Include {tmp_path}/mo*\nUser x\n") is None
    (tmp_path / "more").write_text("Host web1\nProxyUseFdpass yes\nUser y\n")
    error = refused(tmp_path, f"Include {tmp_path}/mo*\n")
    assert error is not None
    assert error.place == f"{tmp_path}/more:2"


def test_a_file_that_includes_itself_ends(tmp_path: Path) -> None:
    assert refused(tmp_path, f"Include {tmp_path}/config\n") is None


def test_a_command_in_match_is_refused_only_if_it_would_decide(tmp_path: Path) -> None:
    error = refused(tmp_path, 'Match host 10.0.0.1 exec "nc -z %h 22"\nUser x\n')
    assert error is not None
    assert error.option == "Match exec"
    assert refused(tmp_path, 'Match host db1 exec "nc -z %h 22"\nUser x\n') is None


def test_a_line_that_no_shell_would_split_is_no_error(tmp_path: Path) -> None:
    assert refused(tmp_path, "ProxyCommand it's \"odd\n") is None


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SshConfigUnusable) as raised:
        read_settings(Address("web1", "web1"), tmp_path / "missing")
    assert raised.value.place == str(tmp_path / "missing")


def test_a_value_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Port many\n")
    with pytest.raises(SshConfigUnusable) as raised:
        read_settings(Address("web1", "web1"), tmp_path / "config")
    assert "many" in raised.value.reason


def test_what_the_address_says_comes_before_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Host web1\nHostName 10.0.0.1\nPort 2200\nUser x\nProxyJump a,b\n")
    settings = read_settings(Address("web1", "web1", 2201, "y"), tmp_path / "config")
    assert (settings.host, settings.port, settings.user) == ("10.0.0.1", 2201, "y")
    assert settings.jumps == ("a", "b")
    settings = read_settings(Address("web1", "web1"), tmp_path / "config")
    assert (settings.port, settings.user) == (2200, "x")


@pytest.mark.parametrize(
    ("spec", "user", "host", "port"),
    [
        ("bastion", "", "bastion", 0),
        ("me@bastion:2222", "me", "bastion", 2222),
        ("a@b@bastion", "a@b", "bastion", 0),
        ("[fe80::1]:2222", "", "fe80::1", 2222),
        ("fe80::1", "", "fe80::1", 0),
        ("ssh://me@bastion:22/", "me", "bastion", 22),
    ],
)
def test_every_form_of_a_jump_is_understood(spec: str, user: str, host: str, port: int) -> None:
    assert jump_address("node", spec) == Address("node", host, port, user)


def test_the_usual_port_is_not_said() -> None:
    assert (place("h", 22), place("h", 2222), place("::1", 2222)) == ("h", "h:2222", "[::1]:2222")
