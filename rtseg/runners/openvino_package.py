"""The package openvino: loaded without its telemetry, one Core, and its exceptions as ours."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from rtseg.errors import MissingDependencyError, RunnerError, is_interrupt

OPENVINO = "openvino"
"""The kind of the models that OpenVINO stores, what a build calls the runtime that they are for, and their runner."""


@functools.lru_cache(maxsize=1)
def core() -> Any:
    """Return the one Core of this process, which is never freed. Raises MissingDependencyError.

    Each Core (2026.4.1) gives its thread another stack for signal handlers, and when it is freed brings back the one
    before, which may be that of a Core freed earlier: the next signal, a Ctrl-C or a child that ends, then kills
    the process.
    """
    return openvino_package().Core()


def openvino_package() -> ModuleType:
    """Return the package openvino. Imported plainly, it would send a message over the network each time.

    Raises MissingDependencyError.
    """
    name = "openvino_telemetry"
    if sys.modules.get("openvino") is None:
        before = sys.modules.get(name)
        sys.modules[name] = None  # type: ignore[assignment]  # openvino then takes it for not installed
        try:
            import openvino  # noqa: F401
        except ImportError as error:
            if is_interrupt(error):
                raise KeyboardInterrupt from error
            raise MissingDependencyError("openvino", extra="openvino", purpose="running with OpenVINO") from error
        finally:
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before
    return sys.modules["openvino"]


def openvino_release() -> str:
    """Return the release of the package, such as "2026.4.1". Raises MissingDependencyError."""
    return str(openvino_package().__version__).partition("-")[0]


@contextlib.contextmanager
def openvino_refusals(what: str) -> Iterator[None]:
    """Turn OpenVINO's exceptions, which share no base class but Exception, into RunnerError: what, and its reason."""
    try:
        yield
    except RunnerError:
        raise
    except Exception as error:
        raise RunnerError(f"{what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """Return the last line of OpenVINO's message: the ones before name its own source files."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip()[:300] if lines else type(error).__name__
