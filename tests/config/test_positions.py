"""The scan for places finds exactly the keys that the standard library's parser finds, on their lines."""

from __future__ import annotations

import json
import tomllib

from hypothesis import given, reject, settings
from hypothesis import strategies as st

from mikoshi.config.positions import KeyPath, positions

DOCUMENT = '''\
a.b."c.d" = 1 # = [x]
a . 'e]' = { f = "}", "g" = [1, { h = 2 }] }
text = """
k = 1
[no.table] ""\\""" ""
"""
raw = \'\'\'
[no.table]'' # \'\'\'\'\'
many = [
  1979-05-27 07:32:00, # ]
  "]", [
    1,
  ],
  { x = 1, y = [] },
]
[table]
key = 07:32:00
[[list]]
z = 1
[list.below]
y = 2
[[list]]
[[list.inner]]
x = 3
[[list.inner]]
x = 4
[late.sub]
[late]
"\\u00e9" = true
'''


def paths_of(value: object, path: KeyPath = ()) -> set[KeyPath]:
    found: set[KeyPath] = {path} if path else set()
    if isinstance(value, dict):
        return found.union(*(paths_of(item, (*path, key)) for key, item in value.items()))
    if isinstance(value, list):
        return found.union(*(paths_of(item, (*path, index)) for index, item in enumerate(value)))
    return found


def test_every_form_of_key_has_its_line() -> None:
    lines = positions(DOCUMENT)
    assert set(lines) == paths_of(tomllib.loads(DOCUMENT))
    wanted: dict[KeyPath, int] = {
        ("a", "b", "c.d"): 1,
        ("a", "e]", "g", 1, "h"): 2,
        ("text",): 3,
        ("raw",): 7,
        ("many",): 9,
        ("many", 0): 10,
        ("many", 2, 0): 12,
        ("many", 3, "y"): 14,
        ("table", "key"): 17,
        ("list",): 18,
        ("list", 0, "below", "y"): 21,
        ("list", 1): 22,
        ("list", 1, "inner", 1, "x"): 26,
        ("late", "sub"): 27,
        ("late",): 28,
        ("late", "é"): 29,
    }
    assert {path: lines[path] for path in wanted} == wanted


blanks = st.text(alphabet=" \t", max_size=2)
keys = st.text(alphabet="ab.]#\"' é\\", max_size=4)
comments = st.sampled_from(["", " # a = [1", "#"])
breaks = st.sampled_from([" ", "\n", "\n# }]\n", "\n\n  "])


def basic(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@st.composite
def strings(draw: st.DrawFn) -> str:
    text = draw(st.text(alphabet="a\n]}=,#[{é\"'\\", max_size=6))
    forms = [basic(text), '"""' + text.replace("\\", "\\\\").replace('"""', '""\\"') + '"""']
    if "'" not in text:
        forms += ["'''" + text + "'''"] + ([f"'{text}'"] if "\n" not in text else [])
    form = draw(st.sampled_from(forms))
    return form if not form.endswith('""""""') or len(form) == 6 else basic(text)


@st.composite
def values(draw: st.DrawFn, depth: int = 2) -> str:
    kind = draw(st.sampled_from(["scalar", "string", "list", "table"] if depth else ["scalar", "string"]))
    if kind == "scalar":
        return draw(st.sampled_from(["1", "true", "-1.5e3", "1979-05-27 07:32:00Z", "07:32:00", "0xff"]))
    if kind == "string":
        return draw(strings())
    if kind == "list":
        items = draw(st.lists(values(depth=depth - 1), max_size=3))
        return "[" + "".join(f"{draw(breaks)}{item}{draw(breaks)}," for item in items) + draw(breaks) + "]"
    entries = draw(st.dictionaries(keys, values(depth=depth - 1), max_size=3))
    inner = ", ".join(f"{basic(key)}{draw(blanks)}={draw(blanks)}{value}" for key, value in entries.items())
    return "{ " + inner + " }"


@st.composite
def documents(draw: st.DrawFn) -> str:
    lines = []
    for head in draw(st.lists(st.sampled_from(["", "t", "[u]", "t.s", "[u.v]"]), unique=True, max_size=5)):
        lines += [f"[{head}]{draw(comments)}"] if head else []
        entries = draw(st.dictionaries(keys.map(lambda key: f"k{key}"), values(), max_size=3))
        lines += [f"{draw(blanks)}{basic(key)} = {value}{draw(comments)}" for key, value in entries.items()]
    return "\n".join(lines)


@settings(max_examples=60)
@given(documents())
def test_the_scan_finds_what_the_parser_finds(text: str) -> None:
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        reject()  # more than a few of these fail the test's health check
    lines = positions(text)
    assert set(lines) == paths_of(parsed)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
