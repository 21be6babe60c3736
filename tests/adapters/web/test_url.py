"""URLs that can be asked, and those that cannot."""

from __future__ import annotations

import pytest

from mikoshi.adapters.web.url import Url, parsed
from mikoshi.core.errors import WrongUsage


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://shop.example.com", Url(False, "shop.example.com", 80, "shop.example.com", "/")),
        ("https://shop.example.com/up?a=b&c#part", Url(True, "shop.example.com", 443, "shop.example.com", "/up?a=b&c")),
        ("https://shop.example.com:443/", Url(True, "shop.example.com", 443, "shop.example.com", "/")),
        ("HTTP://Shop.example.com:8080/A", Url(False, "shop.example.com", 8080, "shop.example.com:8080", "/A")),
        ("http://[::1]:8080/", Url(False, "::1", 8080, "[::1]:8080", "/")),
        ("http://神輿.example/祭%20x", Url(False, "xn--cjz116b.example", 80, "xn--cjz116b.example", "/%E7%A5%AD%20x")),
    ],
)
def test_a_url_is_taken_apart(text: str, url: Url) -> None:
    assert parsed(text) == url


@pytest.mark.parametrize(
    "text",
    ["", "shop.example.com", "/up", "ftp://shop.example.com/", "http://", "http://:80/", "http://a:port/", "http://a:99999/",
     "http://[::1/", "http://a b/", "http://a/b c", "http://a/\r\nX: y", "https://user:word@a/", f"http://{'ä' * 80}/"],
)  # fmt: skip
def test_what_cannot_be_asked_is_wrong_usage(text: str) -> None:
    with pytest.raises(WrongUsage):
        parsed(text)


def test_a_password_is_not_repeated_in_the_error() -> None:
    with pytest.raises(WrongUsage) as raised:
        parsed("https://user:sesame@shop.example.com/")
    assert "sesame" not in raised.value.reason
