"""The package onnxruntime: imported here and nowhere else, with its telemetry off.

Imported plainly ONNX Runtime (seen in 1.31.1) gives the machine a number, keeps a database of events below the user's
cache folder and a file in the folder for temporary ones, looks up a host and tells it of models, graphs and hardware.
The variable below keeps all that from happening, if it is set before the import; a call after it comes too late.
"""

from __future__ import annotations

import os
from typing import Any

from rtseg.errors import MissingDependencyError, RunnerError, first_line, is_interrupt

NAME = "onnxruntime"
VARIABLE = "ORT_DISABLE_TELEMETRY"


def without_telemetry() -> None:
    """Turn the telemetry of ONNX Runtime off for an import that is yet to come, unless the user has set it.

    For packages that import it themselves.
    """
    os.environ.setdefault(VARIABLE, "1")


def onnxruntime_package(purpose: str = "running an ONNX file") -> Any:
    """Return the package onnxruntime.

    Raises MissingDependencyError where it is not installed, RunnerError where it cannot be imported, and
    KeyboardInterrupt, which its own code takes for an error while it is imported.
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
            f"onnxruntime cannot be imported: {first_line(error)}", hint="pip install --force-reinstall onnxruntime"
        ) from error
    return onnxruntime
