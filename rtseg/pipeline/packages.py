"""Map packages to extras, so that an error about a missing package names the command that installs it."""

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
"""The extra for a package that is missing, unless the stage names another."""


@contextmanager
def needed_for(purpose: str, extra: str = "") -> Iterator[None]:
    """Turn the failed import of a package of rtseg's extras, inside the with statement, into MissingDependencyError.

    purpose is what the package is needed for ("exporting a network"); extra installs everything for that purpose, by
    default the package's own extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in EXTRAS:
            raise
        raise MissingDependencyError(package, extra=extra or EXTRAS[package], purpose=purpose) from error
