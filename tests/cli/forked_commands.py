"""Commands as processes of their own, forked from one that has imported PyTorch before: to import it takes seconds."""

from __future__ import annotations

import multiprocessing
import os
import re
import resource
import sys
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection

from tests.conftest import Outcome

IMPORTED = ["rtseg.exporting.onnx_file", "rtseg.training.fit", "onnxruntime", "tests.cli.forked_commands"]
"""What the processes start with. Nothing has run in it, so that a fork is as good as a new process."""

SECONDS = 120
"""More than any command takes; what it prints on one stream has to fit into a pipe until the other is read."""


def forked(*arguments: object, first: Callable[[], None] | None = None) -> Outcome:
    """Run a command to its end in a process of its own, which calls first before; return how it ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with ExitStack() as ends:
        pipes = [tuple(ends.enter_context(end) for end in context.Pipe(duplex=False)) for _ in range(2)]
        writers = [writer for _, writer in pipes]
        words = [str(word) for word in arguments]
        running = context.Process(target=_command, args=(words, os.getcwd(), environment, writers, first))
        running.start()
        for writer in writers:
            writer.close()
        try:
            out, err = (_all_of(reader) for reader, _ in pipes)
            running.join(SECONDS)
            assert running.exitcode is not None, "the command does not end"
        finally:
            running.kill()
            running.join()
    return Outcome(running.exitcode, out, err)


def files_of_at_most(size_bytes: int) -> None:
    """Limit the files of this process to so many bytes; a write beyond gives EFBIG."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


def full_from(part: str) -> None:
    """Let files take not a byte more from when one is opened to be written whose path that pattern finds."""

    def fill(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and "w" in str(arguments[1] or "") and re.search(part, str(arguments[0])):
            files_of_at_most(0)

    sys.addaudithook(fill)


def standard_output_to(path: str) -> None:
    """Let what this process prints go to a file, as a shell's `>` does."""
    os.dup2(os.open(path, os.O_WRONLY), 1)


def _command(
    words: list[str],
    folder: str,
    environment: dict[str, str],
    writers: list[Connection],
    first: Callable[[], None] | None,
) -> None:
    for stream, writer in enumerate(writers, start=1):
        os.dup2(writer.fileno(), stream)
        writer.close()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["rtseg", *words]
    # What the process that was forked has opened is bound to its own streams.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115, open to the end of the process
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    from rtseg.cli import main

    if first is not None:
        first()
    main(words)


def _all_of(reader: Connection) -> str:
    """Read a pipe to its end."""
    read = []
    while reader.poll(SECONDS):
        piece = os.read(reader.fileno(), 1 << 16)
        if not piece:
            return b"".join(read).decode()
        read.append(piece)
    raise AssertionError("the command neither prints nor ends")
