"""What holds for the package as a whole."""

import subprocess
import sys


def test_importing_mikoshi_imports_nothing_else() -> None:
    script = "import sys; before = set(sys.modules); import mikoshi; print(sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['mikoshi']"
