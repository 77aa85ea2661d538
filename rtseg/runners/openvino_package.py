"""Load the package openvino without its telemetry, with one Core, and turn its exceptions into RunnerError."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from rtseg.errors import MissingDependencyError, RunnerError, is_interrupt

OPENVINO = "openvino"
"""Name of the kind of models that OpenVINO stores, of the runtime that a build makes them for, and of their runner."""


@functools.lru_cache(maxsize=1)
def core() -> Any:
    """Return the one Core of this process, which is never freed. Raises MissingDependencyError.

    Each Core (2026.4.1) sets a new stack for signal handlers in its thread and, when freed, restores the previous one,
    which may belong to a Core freed earlier. Then the next signal, such as Ctrl-C or the end of a child process, kills
    the process.
    """
    return openvino_package().Core()


def openvino_package() -> ModuleType:
    """Return the package openvino. A plain import would send a message over the network each time.

    Raises MissingDependencyError.
    """
    name = "openvino_telemetry"
    if sys.modules.get("openvino") is None:
        before = sys.modules.get(name)
        sys.modules[name] = None  # type: ignore[assignment]  # openvino then treats it as not installed
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
    """Turn OpenVINO's exceptions, of no common base class, into RunnerError with `what` and their reason."""
    try:
        yield
    except RunnerError:
        raise
    except Exception as error:
        raise RunnerError(f"{what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """Return the last line of OpenVINO's message: earlier lines name its own source files."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip()[:300] if lines else type(error).__name__
