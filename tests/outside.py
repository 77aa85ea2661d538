"""What tests read that is not in the clone: one folder, which one variable names. tests/README.md says what lies in it.

A test says what it needs with `@pytest.mark.data("camvid")`, paths inside the folder, and is skipped where that is not.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "RTSEG_TEST_DATA"


def outside(*parts: str) -> Path:
    """Return where that lies in the folder, or would lie."""
    return Path(os.path.abspath(os.environ.get(VARIABLE) or f"{VARIABLE} names no folder"), *parts)


def why_not(paths: tuple[str, ...]) -> str:
    """Return why a test that needs those paths cannot run, and an empty string where it can."""
    if not os.environ.get(VARIABLE):
        return f"{VARIABLE} names no folder"
    missing = [path for path in paths if not outside(path).exists()]
    return f"no {', '.join(missing)} in the folder that {VARIABLE} names" if missing else ""
