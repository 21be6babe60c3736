"""The Markdown reader of the documentation checks."""

from tools.markdown import CodeBlock, Heading, anchors, code_blocks, headings, links, sections

PAGE = """# Title

See [the `guide`](guide.md#start) and ![a picture](<img.png>).

```console
# not a heading [nor](a-link)
```

## Use `it`
Not `[a](link)` in code.
~~~~
```
~~~~
## Use it
"""


def test_headings_and_links_inside_code_are_none() -> None:
    assert headings(PAGE) == [Heading(1, "Title"), Heading(2, "Use `it`"), Heading(2, "Use it")]
    assert list(links(PAGE)) == [(3, "guide.md#start"), (3, "img.png")]


def test_a_fence_is_closed_only_by_its_own_kind() -> None:
    assert code_blocks(PAGE) == [CodeBlock(5, "# not a heading [nor](a-link)"), CodeBlock(11, "```")]


def test_an_open_fence_runs_to_the_end() -> None:
    assert code_blocks("```\nlast") == [CodeBlock(1, "last")]


def test_anchors_of_equal_headings_are_numbered() -> None:
    assert anchors(PAGE) == {"title", "use-it", "use-it-1"}


def test_a_section_holds_its_code_and_its_subsections_but_not_the_next_one() -> None:
    page = "# All\n## `one`\n```\n# code\n```\n### deeper\ninside\n## two\nother\n"
    assert "# code" in sections(page)["one"]
    assert "inside" in sections(page)["one"]
    assert "other" not in sections(page)["one"]
