"""A sequence of steps: what is told of each, and what becomes of those that need one that failed."""

from __future__ import annotations

from typing import NoReturn

import pytest

from rtseg.errors import CudaError, RunnerError
from rtseg.installation.chain import NotTriedError, Step, findings_of
from rtseg.installation.finding import Finding


def raising(error: Exception) -> NoReturn:
    raise error


def failing(name: str, error: Exception, *needs: str, lacking: str = "") -> Step:
    return Step(name, lambda: raising(error), needs, lacking)


def working(name: str, *needs: str) -> Step:
    return Step(name, lambda: f"{name} seen", needs)


def test_a_step_that_works_is_told_with_what_it_saw() -> None:
    assert findings_of([working("a")], []) == [Finding("a", True, "a seen")]


def test_what_an_error_says_to_try_is_what_mends_the_step() -> None:
    (found,) = findings_of([failing("a", RunnerError("it stands still", got="nothing", hint="a push"))], [])
    assert found == Finding("a", False, "it stands still; got nothing", "a push")


def test_an_error_of_cuda_is_told_by_its_name() -> None:
    (found,) = findings_of([failing("a", CudaError("run", name="no driver", hint="a driver"))], [])
    assert found == Finding("a", False, "no driver", "a driver")


def test_a_package_that_is_not_installed_is_told_with_the_command_that_brings_it() -> None:
    (found,) = findings_of([failing("a", ModuleNotFoundError("No module named 'onnx'", name="onnx"))], [])
    assert found == Finding("a", False, "the package onnx is not installed", "run pip install onnx")


@pytest.mark.parametrize("error", [ImportError("no symbol\nof that name"), OSError("no symbol")])
def test_a_damaged_library_is_told_in_one_line(error: Exception) -> None:
    (found,) = findings_of([failing("a", error)], [])
    assert found == Finding("a", False, f"{type(error).__name__}: no symbol")


def test_what_needs_a_step_that_failed_is_not_tried_and_says_what_it_lacks() -> None:
    found = findings_of([failing("a", RunnerError("broken"), lacking="no a here"), working("b", "a")], [])
    assert found[1] == Finding("b", None, "not tried: no a here")


def test_the_first_failure_is_the_reason_for_all_that_follow_from_it() -> None:
    steps = [failing("a", RunnerError("broken"), lacking="no driver"), working("b", "a"), working("c", "b")]
    assert [found.seen for found in findings_of(steps, [])[1:]] == ["not tried: no driver"] * 2


def test_what_does_not_need_the_step_that_failed_is_tried_all_the_same() -> None:
    found = findings_of([failing("a", RunnerError("broken")), working("b")], [])
    assert [each.works for each in found] == [False, True]


def test_of_several_things_that_are_lacking_the_first_needed_is_told() -> None:
    steps = [failing(name, RunnerError("broken"), lacking=f"no {name}") for name in ("a", "b")]
    assert findings_of([*steps, working("c", "b", "a")], [])[2].seen == "not tried: no b"


def test_a_package_that_does_not_work_is_a_reason_too() -> None:
    packages = [Finding("tensorrt", False, "not installed"), Finding("cuda", True, "13")]
    found = findings_of([working("a", "cuda", "tensorrt"), working("b", "cuda")], packages)
    assert [each.seen for each in found] == ["not tried: no working tensorrt", "b seen"]


def test_a_step_with_nothing_to_try_is_no_failure_and_hands_its_reason_on() -> None:
    found = findings_of([failing("a", NotTriedError("not for this GPU", "another GPU")), working("b", "a")], [])
    assert found == [
        Finding("a", None, "not tried: not for this GPU", "another GPU"),
        Finding("b", None, "not tried: not for this GPU"),
    ]


def test_a_fault_of_ours_passes_through() -> None:
    with pytest.raises(KeyError):
        findings_of([failing("a", KeyError("b"))], [])
