"""Which extra brings which package, so that one that is missing is named with the command that installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rtseg.errors import MissingDependencyError

EXTRAS = {
    "torch": "export",
    "safetensors": "export",
    "onnx": "cpu",
    "google": "cpu",
    "onnxruntime": "cpu",
    "openvino": "openvino",
    "tensorrt": "gpu",
    "tensorrt_rtx": "rtx",
    "cuda": "gpu",
    "pycuda": "pycuda",
    "matplotlib": "report",
    "polygraphy": "report",
}
"""The extra for a package that is imported without being installed, where the stage does not say another."""


@contextmanager
def needed_for(purpose: str, extra: str = "") -> Iterator[None]:
    """Turn a package of rtseg's extras that is missing, inside the with statement, into MissingDependencyError.

    purpose is what it is needed for ("exporting a network"); extra the one that installs all that the purpose needs, by
    default the package's own.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in EXTRAS:
            raise
        raise MissingDependencyError(package, extra=extra or EXTRAS[package], purpose=purpose) from error
