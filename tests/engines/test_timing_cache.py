"""The file of measured times: one for each TensorRT on each GPU, to which every build adds its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rtseg.engines.timing_cache import TIMES, keep_timing_cache, timing_cache_path
from rtseg.errors import WriteError


class Times:
    """What a TensorRT measured, and what it was given beside."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def combine(self, others: Times, ignore_mismatch: bool) -> None:
        assert not ignore_mismatch
        self.content = others.content + self.content

    def serialize(self) -> bytes:
        return self.content


class Config:
    """A build that measured these times."""

    def __init__(self, measured: bytes | None) -> None:
        self.measured = measured

    def get_timing_cache(self) -> Times | None:
        return None if self.measured is None else Times(self.measured)

    def create_timing_cache(self, content: bytes) -> Times:
        return Times(content)


def keep(path: Path, measured: bytes | None) -> None:
    config: Any = Config(measured)
    keep_timing_cache(config, path)


def test_a_build_adds_its_times_to_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.timing"
    keep(path, b"times")
    keep(path, b", more")
    assert TIMES.read(path) == b"times, more"


def test_times_that_are_damaged_are_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.timing"
    keep(path, b"times")
    path.write_bytes(path.read_bytes()[:36])
    keep(path, b"anew")
    assert TIMES.read(path) == b"anew"


def test_a_build_without_times_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.timing"
    keep(path, None)
    assert not path.exists()


def test_a_version_or_another_gpu_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path))
    path = timing_cache_path("10.3.0", "NVIDIA H200", (9, 0))
    assert path.parent == tmp_path / "timing" and path.name.startswith("trt10.3.0-nvidia-h200-sm90-")
    others = [
        ("10.3.1", "NVIDIA H200", (9, 0)),
        ("10.3.0", "NVIDIA H100", (9, 0)),
        ("10.3.0", "NVIDIA H200", (8, 0)),
        ("10.3.0", "NVIDIA-H200", (9, 0)),
    ]
    assert len({path, *(timing_cache_path(*other) for other in others)}) == 5


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        keep(tmp_path / "file" / "a.timing", b"times")
