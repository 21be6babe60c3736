"""`python3 -m mikoshi.node`: the engine on standard input and output."""

from __future__ import annotations

import sys

from mikoshi.node.main import main

if __name__ == "__main__":
    sys.exit(main())
