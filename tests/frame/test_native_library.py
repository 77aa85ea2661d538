from __future__ import annotations

import importlib.machinery
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtseg.frame import native_library

LIBRARY = f"rtseg_core{importlib.machinery.EXTENSION_SUFFIXES[-1]}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder in which the library is looked for afresh."""
    monkeypatch.delenv(native_library.CHOICE, raising=False)
    monkeypatch.setattr(native_library, "_FOLDER", tmp_path)
    native_library._search.cache_clear()
    yield tmp_path
    native_library._search.cache_clear()


def test_without_a_library_numpy_does_the_work(folder: Path) -> None:
    assert native_library.core() is None
    assert "without a C++ compiler" in native_library.why_none()


def test_a_file_that_is_no_library_is_left_aside(folder: Path) -> None:
    (folder / LIBRARY).write_bytes(b"not a library")
    assert native_library.core() is None
    assert "cannot be loaded" in native_library.why_none()


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc)")
def test_a_library_of_another_version_is_left_aside(folder: Path) -> None:
    (folder / "other.c").write_text("int rtseg_core_abi_version(void) { return 99; }")
    subprocess.run(["cc", "-shared", "-fPIC", "other.c", "-o", LIBRARY], cwd=folder, check=True)
    assert native_library.core() is None
    assert "ABI version 99" in native_library.why_none()


def test_the_environment_can_ask_for_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(native_library.CHOICE, "numpy")
    assert native_library.core() is None
    assert native_library.why_none() == "RTSEG_CORE=numpy is set"


def test_there_is_a_reason_exactly_when_there_is_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(native_library.CHOICE, raising=False)
    assert (native_library.core() is None) == bool(native_library.why_none())


def test_threads_that_ask_at_once_get_the_same_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(native_library.CHOICE, raising=False)
    native_library._search.cache_clear()
    found = []
    threads = [threading.Thread(target=lambda: found.append(native_library.core())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(library is found[0] for library in found)
