"""Import the package onnxruntime, here and nowhere else, with its telemetry off.

By default ONNX Runtime (seen in 1.31.1) gives the machine an identifier, keeps a database of events in the user's cache
folder and a file in the temporary folder, looks up a host, and sends it facts about models, graphs and hardware. The
variable below prevents all that if it is set before the import; a call after the import is too late.
"""

from __future__ import annotations

import os
from typing import Any

from rtseg.errors import MissingDependencyError, RunnerError, first_line, is_interrupt

NAME = "onnxruntime"
VARIABLE = "ORT_DISABLE_TELEMETRY"


def without_telemetry() -> None:
    """Turn off ONNX Runtime's telemetry for a later import, unless the user has set the variable.

    For packages that import it themselves.
    """
    os.environ.setdefault(VARIABLE, "1")


def onnxruntime_package(purpose: str = "running an ONNX file") -> Any:
    """Return the package onnxruntime.

    Raises MissingDependencyError if it is not installed, RunnerError if it cannot be imported, and KeyboardInterrupt,
    which its own code would otherwise turn into an import error.
    """
    without_telemetry()
    try:
        import onnxruntime
    except ImportError as error:
        if is_interrupt(error):
            raise KeyboardInterrupt from error
        if isinstance(error, ModuleNotFoundError) and error.name == NAME:
            raise MissingDependencyError(NAME, extra="cpu", purpose=purpose) from error
        raise RunnerError(
            f"onnxruntime cannot be imported: {first_line(error)}", hint="run pip install --force-reinstall onnxruntime"
        ) from error
    return onnxruntime
