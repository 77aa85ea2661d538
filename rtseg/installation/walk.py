"""The chain from a driver to a timed engine, tried in a temporary folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rtseg.errors import first_line
from rtseg.installation.chain import findings_of
from rtseg.installation.device_steps import DeviceTrial
from rtseg.installation.engine_steps import EngineTrial
from rtseg.installation.finding import Finding
from rtseg.installation.graph_steps import GraphTrial
from rtseg.runners.tensorrt.module import RUNTIMES

_CACHE = "RTSEG_CACHE"


def walk_the_chain(packages: Sequence[Finding]) -> list[Finding]:
    """Return a finding for each step. packages are the findings about packages; some steps depend on them."""
    try:
        scratch = tempfile.TemporaryDirectory(prefix="rtseg-doctor-")
    except OSError as error:
        seen = f"no folder for temporary files: {first_line(error)}"
        return [Finding("temporary folder", False, seen, "set TMPDIR to a folder that can be written")]
    with scratch as name, _cache_in(Path(name) / "cache"):
        return _walked(Path(name), packages)


def _walked(folder: Path, packages: Sequence[Finding]) -> list[Finding]:
    device, graph = DeviceTrial(), GraphTrial(folder)
    engines = [EngineTrial(runtime, folder, device, graph) for runtime in RUNTIMES]
    with ExitStack() as loaded:
        for engine in engines:
            loaded.callback(engine.close)
        steps = [*device.steps(), *graph.steps(), *(step for engine in engines for step in engine.steps())]
        return findings_of([*steps, *device.last_steps()], packages)


@contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    """Make rtseg's cache use that folder for the duration.

    So kernels are compiled and engines built even if the real cache has them, and no files of the probe graph remain.
    """
    before = os.environ.get(_CACHE)
    os.environ[_CACHE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CACHE]
        else:
            os.environ[_CACHE] = before
