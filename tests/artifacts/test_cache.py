"""The cache: what is there is whole, what is used stays, and nothing in it belongs to anything else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest

from rtseg.artifacts.cache import NO_CACHE_HINT, Cache, cache_folder
from rtseg.errors import WriteError

CONTENT = b"what took long"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path))
    return Cache("things", ".thing", keep=3)


@pytest.fixture
def path(cache: Cache) -> Path:
    """A file that was written."""
    path = cache.path("key")
    cache.write(path, CONTENT)
    return path


def aged(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))


# The folder and the names


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("RTSEG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path))
    assert cache_folder() == tmp_path / "rtseg"


NOBODY = """
import os
from rtseg.artifacts.cache import Cache, kept_folder
os.environ.pop("HOME", None)
os.setuid(54321)
assert kept_folder() is None
cache = Cache("things", ".thing", keep=3)
path = cache.path("key")
cache.write(path, b"content")
assert cache.read(path) == b"content" and Cache("others", ".thing", keep=3).read(path) == b"content"
print(path)
"""
"""A user without a home and without an entry among the users, as a container may have."""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become nobody")
def test_a_user_without_a_home_works_without_a_cache_and_is_told_once(tmp_path: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if name not in ("RTSEG_CACHE", "XDG_CACHE_HOME")}
    done = subprocess.run([sys.executable, "-c", NOBODY], capture_output=True, text=True, env=variables, cwd="/")
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"nothing is kept for the next time: this user has no cache folder. Try: {NO_CACHE_HINT}\n"
    assert not Path(done.stdout.strip()).exists(), "it goes with the process"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become nobody")
def test_a_home_that_is_not_the_users_own_is_none(tmp_path: Path) -> None:
    program = "import os; from rtseg.artifacts.cache import kept_folder; os.setuid(54321); print(kept_folder())"
    left = {name: value for name, value in os.environ.items() if name not in ("RTSEG_CACHE", "XDG_CACHE_HOME")}

    def folder(home: str) -> str:
        command = [sys.executable, "-c", program]
        return subprocess.run(command, capture_output=True, text=True, env={**left, "HOME": home}, cwd="/").stdout

    assert folder("/") == "None\n"
    tmp_path.chmod(0o755)
    assert folder(str(tmp_path)) == "None\n"


def test_each_kind_has_a_folder_of_its_own_unless_another_is_given(cache: Cache, tmp_path: Path) -> None:
    assert cache.path("key").parent == cache.folder == tmp_path / "things"
    assert Cache("things", ".thing", keep=3, folder=tmp_path / "mine").path("key").parent == tmp_path / "mine"
    assert list(tmp_path.iterdir()) == []


def test_every_fact_of_the_key_makes_another_name(cache: Cache) -> None:
    keys = ["a", ["a"], ["a", "b"], ["ab"], ["a", 1], ["a", "1"], ["a", 1.5], ["a", None], ["a", True], {"a": 1}, {}]
    assert len({cache.path(key) for key in keys}) == len(keys)
    assert cache.path({"a": 1, "b": 2}) == cache.path({"b": 2, "a": 1})


def test_a_name_says_what_is_inside_and_nothing_that_a_file_system_refuses(cache: Cache) -> None:
    label = "trt10.3.0 NVIDIA RTX™ 4090/../x"
    assert cache.path("key", label=label).name.startswith("trt10.3.0-nvidia-rtx-4090-..-x-")
    assert cache.path("key", label=label).parent == cache.folder
    assert not cache.path("key", label="../x").name.startswith(".")
    assert len(cache.path("key", label="x" * 1000).name) < 150
    assert cache.path("key", label="rtx-4090") != cache.path("other", label="rtx 4090")


# What is read


def test_what_was_written_is_read(cache: Cache, path: Path) -> None:
    assert cache.read(path) == CONTENT
    cache.write(path, b"")
    assert cache.read(path) == b""
    assert cache.read(cache.path("another")) is None


@pytest.mark.parametrize("kept", [0, 1, 31, 32, 40])
def test_a_file_that_was_cut_counts_as_none(cache: Cache, path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    assert cache.read(path) is None
    cache.write(path, CONTENT)
    assert cache.read(path) == CONTENT


@pytest.mark.parametrize("position", [0, 31, 32, -1])
def test_a_flipped_bit_is_noticed(cache: Cache, path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    assert cache.read(path) is None


def test_a_folder_in_a_files_place_counts_as_none_and_cannot_be_written(cache: Cache) -> None:
    path = cache.path("key")
    path.mkdir(parents=True)
    assert cache.read(path) is None
    with pytest.raises(WriteError, match="is a folder"):
        cache.write(path, CONTENT)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    cache: Cache, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"cannot write .*: No space left on device"):
        cache.write(path, b"more")
    assert cache.read(path) == CONTENT
    assert list(cache.folder.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache("things", ".thing", keep=3, folder=tmp_path / "file")
    path = cache.path("key")
    assert cache.read(path) is None
    cache.used(path)
    with pytest.raises(WriteError, match="cannot write"):
        cache.write(path, CONTENT)
    with pytest.raises(WriteError, match="cannot write"), cache.locked(path):
        pass


def test_a_folder_that_can_only_be_read_still_serves(cache: Cache, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refused)
    assert cache.read(path) == CONTENT


def test_readers_and_writers_at_the_same_time_see_whole_files_alone(cache: Cache, path: Path) -> None:
    contents = [letter * 100_000 for letter in (b"a", b"b")]
    cache.write(path, contents[0])
    failures: list[object] = []

    def write(content: bytes) -> None:
        try:
            for _ in range(40):
                cache.write(path, content)
        except Exception as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert cache.read(path) in contents
    assert failures == []
    assert list(cache.folder.iterdir()) == [path]


# What stays


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_files_that_are_not_used_go_first(cache: Cache, order: tuple[int, ...]) -> None:
    paths = [cache.path(number, label="label" if number else "") for number in range(3)]
    for path in paths:
        cache.write(path, CONTENT)
    for age, number in enumerate(order):
        aged(paths[number], age)
    assert cache.read(paths[order[0]]) == CONTENT  # which makes it the newest
    cache.write(cache.path("another"), CONTENT)
    assert [cache.read(paths[number]) is None for number in order] == [False, True, False]
    cache.used(paths[order[2]])
    assert len(list(cache.folder.iterdir())) == 3


def test_what_was_just_written_stays_whatever_the_clock_says(cache: Cache) -> None:
    for number in range(5):
        cache.write(cache.path(number), CONTENT)
        aged(cache.path(number), 1 << 33)
    assert cache.read(cache.path(4)) == CONTENT
    assert len(list(cache.folder.iterdir())) == 3


def test_what_lies_beside_a_file_goes_with_it(cache: Cache) -> None:
    for number in range(4):
        path = cache.path(number)
        cache.folder.mkdir(exist_ok=True)
        path.write_bytes(b"written by something else")
        path.with_name(f"{path.name}.json").write_text("{}")
        with cache.locked(path):
            pass
        aged(path, number)
    cache.used(cache.path(0))
    left = {entry.name for entry in cache.folder.iterdir()}
    assert left == {f"{cache.path(number).name}{end}" for number in (0, 2, 3) for end in ("", ".json", ".lock")}


def test_files_of_others_and_of_an_older_rtseg_are_left_alone(cache: Cache) -> None:
    foreign = ["mine.thing", "0" * 31 + ".thing", "0" * 32 + ".other", "0" * 64 + ".thing", "things", "0" * 32]
    cache.folder.mkdir()
    for name in foreign:
        (cache.folder / name).write_text("not ours")
        aged(cache.folder / name, 1)
    for number in range(10):
        cache.write(cache.path(number), CONTENT)
    left = {entry.name for entry in cache.folder.iterdir()}
    assert len(left) == len(foreign) + 3 and left >= set(foreign)


def test_a_file_that_another_process_drops_at_the_same_moment_is_no_error(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        cache.write(cache.path(number), CONTENT)
    plain = Path.unlink

    def gone(path: Path, missing_ok: bool = False) -> None:
        plain(path)
        plain(path)

    monkeypatch.setattr(Path, "unlink", gone)
    cache.write(cache.path(3), CONTENT)
    assert len(list(cache.folder.iterdir())) == 3


# The lock


def add(cache: Cache, path: Path, letter: bytes) -> None:
    with cache.locked(path):
        cache.write(path, (cache.read(path) or b"") + letter)


def test_processes_that_add_to_a_file_under_its_lock_lose_nothing_of_one_another(cache: Cache) -> None:
    path = cache.path("key")
    program = (
        "import sys, time; from pathlib import Path; from rtseg.artifacts.cache import Cache\n"
        "cache, path = Cache('things', '.thing', keep=3), Path(sys.argv[1])\n"
        "for _ in range(20):\n"
        "    with cache.locked(path):\n"
        "        content = (cache.read(path) or b'') + sys.argv[2].encode()\n"
        "        time.sleep(0.002)\n"
        "        cache.write(path, content)\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(path), letter]) for letter in "abc"]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    content = cache.read(path) or b""
    assert {letter: content.count(letter) for letter in (b"a", b"b", b"c")} == dict.fromkeys((b"a", b"b", b"c"), 20)


def test_an_error_under_the_lock_is_told_as_it_is_and_leaves_file_and_lock_free(cache: Cache, path: Path) -> None:
    for error in (ValueError, OSError):
        with pytest.raises(error), cache.locked(path):
            raise error
    add(cache, path, b"!")
    assert cache.read(path) == CONTENT + b"!"
    assert sorted(entry.name for entry in cache.folder.iterdir()) == [path.name, f"{path.name}.lock"]


def no_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)


def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refused)


@pytest.mark.parametrize("lack", [no_module, no_locks])
def test_a_system_without_locks_does_without(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, lack: Callable[[pytest.MonkeyPatch], None]
) -> None:
    lack(monkeypatch)
    for letter in (b"a", b"b"):
        add(cache, cache.path("key"), letter)
    assert cache.read(cache.path("key")) == b"ab"
