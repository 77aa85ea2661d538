"""What reads TOML: the standard library from Python 3.11 on, before that the package tomli, which may be missing."""

from __future__ import annotations

import sys
from types import ModuleType

from rtseg.errors import SpecError


def toml_package(purpose: str) -> ModuleType:
    """Return the module that has loads. Raises SpecError, with what needs it, before Python 3.11 without tomli."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:  # pragma: no cover
        try:
            import tomli as tomllib
        except ModuleNotFoundError as error:
            raise SpecError(f"before Python 3.11 {purpose} need the package tomli", hint="pip install tomli") from error
    return tomllib
