"""Each documentation check finds what it is for, and is silent where nothing is wrong."""

from argparse import SUPPRESS, ArgumentParser
from pathlib import Path

import pytest
from tools.check_docs import check_classes, check_links, check_translations, check_verbs


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


PAGE = "# Reference\n## `Alpha`\n| name | meaning |\n| `Beta` | x |\nGamma is mentioned only.\n"
CLASSES = "class Alpha: ...\nclass Beta: ...\n"
UNIONS = {"events": "Event = Union[{}]\n", "plan": "Action = Union[{}]\n", "errors": "", "running_errors": ""}


def core(root: Path, **more: str) -> Path:
    """A documented core, with one more class in the modules named."""
    for module, union in UNIONS.items():
        names = "Alpha, Beta, Gamma" if module in more else "Alpha, Beta"
        write(root, {f"src/mikoshi/core/{module}.py": CLASSES + more.get(module, "") + union.format(names)})
    return write(root, {"docs/reference/page.md": PAGE})


@pytest.mark.parametrize("module", list(UNIONS))
def test_an_event_error_or_action_without_an_entry_is_found(tmp_path: Path, module: str) -> None:
    [finding] = check_classes(core(tmp_path, **{module: "class Gamma: ...\n"}))
    assert "Gamma has no entry" in finding.message
    assert (finding.path, finding.line) == (f"src/mikoshi/core/{module}.py", 3)


def test_documented_classes_are_accepted(tmp_path: Path) -> None:
    assert list(check_classes(core(tmp_path))) == []


def test_a_union_that_was_renamed_is_found_instead_of_checking_nothing(tmp_path: Path) -> None:
    write(core(tmp_path), {"src/mikoshi/core/plan.py": CLASSES + "Step = Union[Alpha, Beta]\n"})
    [finding] = check_classes(tmp_path)
    assert "another name" in finding.message


def parser() -> ArgumentParser:
    top = ArgumentParser()
    verbs = top.add_subparsers()
    deploy = verbs.add_parser("deploy")
    deploy.add_argument("--ref")
    deploy.add_argument("--secret-switch", help=SUPPRESS)
    below = verbs.add_parser("config").add_subparsers()
    below.add_parser("show").add_argument("--json")
    return top


def test_verbs_and_options_that_the_reference_names_are_accepted(tmp_path: Path) -> None:
    page = "# CLI\n## mikoshi deploy\n`--ref REF`\n## `mikoshi config`\n### show\n`--json`\n"
    write(tmp_path, {"docs/reference/cli.md": page})
    assert list(check_verbs(tmp_path, parser())) == []


def test_a_verb_without_a_section_is_found(tmp_path: Path) -> None:
    write(tmp_path, {"docs/reference/cli.md": "## deploy\n--ref\n"})
    assert [finding.message for finding in check_verbs(tmp_path, parser())] == ["no section for `mikoshi config`"]


def test_an_option_named_only_as_part_of_another_or_elsewhere_is_found(tmp_path: Path) -> None:
    page = "## mikoshi deploy\n--ref-name\n## mikoshi config\n--json --ref\n"
    write(tmp_path, {"docs/reference/cli.md": page})
    [finding] = check_verbs(tmp_path, parser())
    assert finding.message.endswith("does not name --ref")


def test_no_reference_page_at_all_is_found(tmp_path: Path) -> None:
    assert len(list(check_verbs(tmp_path, parser()))) == 2


@pytest.mark.parametrize("target", ["gone.md", "#gone", "b.md#gone", "/docs/gone.md", "two%20words.md"])
def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, target: str) -> None:
    write(tmp_path, {"docs/a.md": f"# A\n[x]({target})\n", "docs/b.md": "# B\n"})
    [finding] = check_links(tmp_path)
    assert (finding.path, finding.line) == ("docs/a.md", 2)


def test_links_to_files_directories_headings_and_other_sites_are_accepted(tmp_path: Path) -> None:
    text = "# A b\n[1](b.md#b) [2](#a-b) [3](../docs) [4](https://example.com/x) [5](/docs/b.md)\n"
    write(tmp_path, {"docs/a.md": text, "docs/b.md": "# B\n"})
    assert list(check_links(tmp_path)) == []


ENGLISH = "# M\n## Use\n```\nmikoshi deploy\n```\n"


@pytest.mark.parametrize(
    ("translation", "message"),
    [
        ("# M\n```\nmikoshi deploy\n```\n", "headings"),
        ("# M\n# 使う\n```\nmikoshi deploy\n```\n", "headings"),
        ("# M\n## 使う\n```\nmikoshi plan\n```\n", "lacks the code block at line 3"),
        (ENGLISH + "```\nmore\n```\n", "code blocks"),
    ],
)
def test_a_translation_that_differs_in_headings_or_code_is_found(
    tmp_path: Path, translation: str, message: str
) -> None:
    write(tmp_path, {"README.md": ENGLISH, "README.ja.md": translation})
    [finding] = check_translations(tmp_path)
    assert message in finding.message


def test_a_translation_with_the_same_headings_and_code_is_accepted(tmp_path: Path) -> None:
    write(tmp_path, {"README.md": ENGLISH, "README.ja.md": ENGLISH.replace("Use", "使う")})
    assert list(check_translations(tmp_path)) == []
