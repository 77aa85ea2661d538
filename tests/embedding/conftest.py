"""The C++ library for the tests of this folder."""

from __future__ import annotations

import pytest

from tests.embedding.cpp_library import CppLibrary, built_once, is_worker, shared_folder


@pytest.fixture(scope="session")
def cpp_library(tmp_path_factory: pytest.TempPathFactory) -> CppLibrary:
    """The C++ library with its programs, tests and the backends that can be built here, installed."""
    return built_once(shared_folder(tmp_path_factory.getbasetemp(), is_worker()))
