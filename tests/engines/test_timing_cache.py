"""The file of measured times: whole or not there, and never losing what another process added."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rtseg.engines.timing_cache import read_timing_cache, timing_cache_path, update_timing_cache
from rtseg.errors import WriteError


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.timing"
    assert read_timing_cache(path) == b""
    update_timing_cache(path, lambda stored: stored + b"times")
    update_timing_cache(path, lambda stored: stored + b", more")
    assert read_timing_cache(path) == b"times, more"


@pytest.mark.parametrize("kept", [0, 1, 31, 32, 36])
def test_a_damaged_file_counts_as_none(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.timing"
    update_timing_cache(path, lambda stored: b"times")
    path.write_bytes(path.read_bytes()[:kept])
    assert read_timing_cache(path) == b""
    seen = []
    update_timing_cache(path, lambda stored: seen.append(stored) or b"anew")  # type: ignore[func-returns-value]
    assert (seen, read_timing_cache(path)) == ([b""], b"anew")


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.timing"
    update_timing_cache(path, lambda stored: b"times")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert read_timing_cache(path) == b""


def test_a_merge_that_fails_leaves_the_file_and_the_lock_free(tmp_path: Path) -> None:
    path = tmp_path / "a.timing"
    update_timing_cache(path, lambda stored: b"times")

    def fails(stored: bytes) -> bytes:
        raise ValueError

    with pytest.raises(ValueError):
        update_timing_cache(path, fails)
    update_timing_cache(path, lambda stored: stored + b"!")
    assert read_timing_cache(path) == b"times!"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.lock", "a.timing"]


def test_builds_at_the_same_time_lose_nothing_of_one_another(tmp_path: Path) -> None:
    path = tmp_path / "a.timing"
    program = (
        "import sys, time; from pathlib import Path; from rtseg.engines.timing_cache import update_timing_cache\n"
        "def merge(stored):\n"
        "    time.sleep(0.002)\n"
        "    return stored + sys.argv[2].encode()\n"
        "for _ in range(20): update_timing_cache(Path(sys.argv[1]), merge)\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(path), letter]) for letter in "abc"]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    assert {letter: read_timing_cache(path).count(letter.encode()) for letter in "abc"} == dict.fromkeys("abc", 20)


def test_a_version_or_another_gpu_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path))
    path = timing_cache_path("10.3.0", "NVIDIA H200", (9, 0))
    assert path == tmp_path / "timing" / "trt10.3.0-nvidia-h200-sm90.timing"
    others = [("10.3.1", "NVIDIA H200", (9, 0)), ("10.3.0", "NVIDIA H100", (9, 0)), ("10.3.0", "NVIDIA H200", (8, 0))]
    assert len({path, *(timing_cache_path(*other) for other in others)}) == 4


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        update_timing_cache(tmp_path / "file" / "a.timing", lambda stored: b"")
