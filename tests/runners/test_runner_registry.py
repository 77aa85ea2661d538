from __future__ import annotations

from pathlib import Path

import pytest

from rtseg.errors import UnknownNameError
from rtseg.runners.registry import DEFAULT_RUNNER, file_runner, runner_names


@pytest.mark.parametrize("name", runner_names())
def test_a_name_gives_a_runner_of_that_backend_without_touching_the_file(name: str) -> None:
    runner = file_runner(name, Path("missing.onnx"), threads=3)
    assert runner.backend == name
    assert "3 threads" in runner.device


def test_the_default_is_a_name() -> None:
    assert DEFAULT_RUNNER in runner_names()


def test_an_unknown_name_is_refused_with_the_closest_one() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown runner; got 'openvin'.*Try: 'openvino'"):
        file_runner("openvin", Path("missing.onnx"))
