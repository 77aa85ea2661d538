"""Import a TOML reader: the standard library's from Python 3.11 on, before that the package tomli, if installed."""

from __future__ import annotations

import sys
from types import ModuleType

from rtseg.errors import SpecError


def toml_package(purpose: str) -> ModuleType:
    """Return a module with loads(). Before Python 3.11 without tomli, raises SpecError that names the purpose."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:  # pragma: no cover
        try:
            import tomli as tomllib
        except ModuleNotFoundError as error:
            raise SpecError(
                f"before Python 3.11 {purpose} need the package tomli", hint="run pip install tomli"
            ) from error
    return tomllib
