"""The clone, installed as `make` installs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_script_beside_the_clone_imports_the_package_and_not_the_clone(tmp_path: Path) -> None:
    (tmp_path / "rtseg").symlink_to(ROOT)
    (tmp_path / "script.py").write_text("import rtseg; print(rtseg.export.__name__)")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("export\n", "")
