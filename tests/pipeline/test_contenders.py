"""Which runners and precisions take part where none, some or several are named."""

from __future__ import annotations

import pytest

from rtseg.errors import UnknownNameError
from rtseg.observer import SILENT
from rtseg.pipeline.contenders import Contender, contenders_of


def named(*contenders: tuple[str, str]) -> list[Contender]:
    return [Contender(*pair) for pair in contenders]


def test_every_runner_takes_part_in_every_precision() -> None:
    assert contenders_of(["openvino", "tensorrt"], ["fp32", "int8"], SILENT) == named(
        ("openvino", "fp32"), ("openvino", "int8"), ("tensorrt", "fp32"), ("tensorrt", "int8")
    )


def test_without_a_precision_engines_are_fp16_and_files_fp32() -> None:
    runners = ["onnxruntime", "tensorrt", "tensorrt-pycuda", "tensorrt-rtx", "onnxruntime-tensorrt"]
    assert [one.precision for one in contenders_of(runners, [], SILENT)] == ["fp32", "fp16", "fp16", "fp16", "fp32"]


def test_one_that_is_named_twice_takes_part_once() -> None:
    assert contenders_of(["openvino", "openvino"], ["int8", "int8"], SILENT) == named(("openvino", "int8"))


@pytest.mark.parametrize(("runners", "precisions"), [(["tensorflow"], []), (["openvino"], ["fp8"])])
def test_an_unknown_name_is_refused_with_those_there_are(runners: list[str], precisions: list[str]) -> None:
    with pytest.raises(UnknownNameError, match="expected one of"):
        contenders_of(runners, precisions, SILENT)


def test_only_runners_of_engines_need_a_build() -> None:
    assert [Contender(name, "fp32").runs_engines for name in ("openvino", "onnxruntime-tensorrt", "tensorrt-rtx")] == [
        False,
        False,
        True,
    ]
