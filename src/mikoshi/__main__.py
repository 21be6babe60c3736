"""`python -m mikoshi` is the `mikoshi` command, for where the console script is not on the path."""

import sys

from mikoshi.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
