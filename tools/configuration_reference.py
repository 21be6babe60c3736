"""Writes docs/reference/configuration.md from the pages that `mikoshi config docs` prints.

Usage: python -m tools.configuration_reference. A test fails while the page is not what this writes.
"""

from __future__ import annotations

import sys

from mikoshi.config.reference import markdown
from tools.findings import ROOT


def main() -> int:
    """Write the page."""
    page = ROOT / "docs" / "reference" / "configuration.md"
    page.write_text(markdown(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
