"""The C++ library for the tests of this folder."""

from __future__ import annotations

import pytest

from tests.embedding.cpp_library import CppLibrary, build, library_in
from tests.made_once import made_once


@pytest.fixture(scope="session")
def cpp_library(tmp_path_factory: pytest.TempPathFactory) -> CppLibrary:
    """The C++ library with its programs, tests and the backends that can be built here, installed."""
    return library_in(made_once(tmp_path_factory, "cpp-library", build))
