"""Which of the two packages is there."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from rtseg.errors import MissingDependencyError
from rtseg.runners.cuda.bindings_package import bindings


@pytest.fixture(scope="session")
def cuda_python() -> None:
    """Skip where cuda-python is not installed. It needs no GPU."""
    try:
        bindings()
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def pycuda() -> None:
    """Skip where PyCUDA is not installed."""
    if find_spec("pycuda") is None:
        pytest.skip("PyCUDA is not installed")
