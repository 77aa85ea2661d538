"""Files on their way to a name: nobody foresees theirs, no link is followed, and words of files lead nowhere else."""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtseg.artifacts.files import (
    name_part,
    read_bytes,
    read_utf8,
    require_regular_file,
    require_replaceable,
    require_writable,
    sha256_of,
    written_atomically,
)
from rtseg.errors import WriteError


def test_a_link_that_lies_in_wait_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "precious").write_text("precious")
    tokens = iter(["foreseen", "foreseen", "another", "third"])
    monkeypatch.setattr(secrets, "token_hex", lambda count: next(tokens))
    with written_atomically(tmp_path / "x.txt") as part:
        part.write_text("first")
    part.symlink_to("precious")
    with written_atomically(tmp_path / "x.txt") as other:
        assert other != part
        other.write_text("second")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "x.txt").read_text() == "second"
    assert part.is_symlink()


def test_a_file_that_is_exchanged_while_it_is_written_gets_no_name(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("of somebody else")
    with pytest.raises(WriteError, match="was replaced"), written_atomically(tmp_path / "x.txt") as part:
        part.unlink()
        part.symlink_to("other")
    assert sorted(os.listdir(tmp_path)) == ["other"]


def test_of_many_writers_and_a_reader_each_sees_whole_files(tmp_path: Path) -> None:
    path, done = tmp_path / "x.bin", threading.Event()
    contents = [bytes([number]) * 300_000 for number in range(3)]
    seen: set[bytes] = set()

    def write(content: bytes) -> None:
        for _ in range(20):
            with written_atomically(path) as part:
                part.write_bytes(content[:1000])
                part.write_bytes(content)

    def read() -> None:
        while not done.is_set():
            if path.exists():
                seen.add(path.read_bytes())

    with ThreadPoolExecutor(4) as pool:
        reader = pool.submit(read)
        for writer in [pool.submit(write, content) for content in contents]:
            writer.result()
        done.set()
        reader.result()
    assert seen and seen <= set(contents)
    assert os.listdir(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("name", ["x" * 251 + ".txt", "ü" * 125 + ".txt", "x." + "y" * 200], ids=["x", "ü", "suffix"])
def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path, name: str) -> None:
    with written_atomically(tmp_path / name) as part:
        part.write_text("new")
    assert os.listdir(tmp_path) == [name]


def test_a_file_that_nobody_wrote_is_told_from_one_without_content(tmp_path: Path) -> None:
    with written_atomically(tmp_path / "empty") as part:
        part.write_bytes(b"")
    assert (tmp_path / "empty").read_bytes() == b""
    (tmp_path / "empty").unlink()
    with pytest.raises(WriteError, match="nothing was written into it"), written_atomically(tmp_path / "x"):
        pass
    assert os.listdir(tmp_path) == []


def test_asking_whether_a_path_may_be_replaced_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    require_replaceable(tmp_path / "new" / "x", tmp_path / "y")
    with pytest.raises(WriteError, match="is a folder"):
        require_replaceable(tmp_path / "y", tmp_path / "folder")
    with pytest.raises(WriteError, match="is a folder"):
        require_writable(tmp_path / "y", tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("camvid+void", "camvid+void"),
        ("my.net:factory", "my.net-factory"),
        ("x/../../ESCAPED/evil", "x-ESCAPED-evil"),
        ("..", ""),
        (".hidden", "hidden"),
        ("-o", "o"),
        ("a\\b\x1b[2J\n", "a-b-2J"),
        ("straße", "stra-e"),
    ],
)
def test_a_word_becomes_a_part_of_a_name(word: str, part: str) -> None:
    assert name_part(word) == part


@given(st.text() | st.text(alphabet="./\\-a:"))
def test_no_word_leads_to_another_folder(word: str) -> None:
    part = name_part(word)
    assert re.fullmatch(r"([A-Za-z0-9_+][A-Za-z0-9._+-]*)?", part)
    assert ".." not in part and Path(f"{part}.onnx").name == f"{part}.onnx"
    assert name_part(part) == part


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
@pytest.mark.parametrize("read", [read_bytes, read_utf8, sha256_of, require_regular_file])
def test_what_is_no_file_is_not_read(read: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match="it is a named pipe, not a file"):
            read(tmp_path / name)
    with pytest.raises(IsADirectoryError, match="it is a folder, not a file"):
        read(tmp_path)


@pytest.mark.skipif(not os.path.exists("/proc/version"), reason="only Linux has such files")
def test_a_file_of_the_system_that_says_it_is_empty_is_empty() -> None:
    assert read_bytes("/proc/version") == b""
    assert Path("/proc/version").read_bytes()


def test_text_is_read_with_one_kind_of_line_end(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes("a\r\nb\rc\nä".encode())
    assert read_utf8(tmp_path / "x.txt") == "a\nb\nc\nä"
