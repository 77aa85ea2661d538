from __future__ import annotations

import ctypes

import pytest

from rtseg.frame import native_library


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    """The core of this machine."""
    found = native_library.core()
    if found is None:
        pytest.skip(native_library.why_none())
    return found
