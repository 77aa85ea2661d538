"""Which engines may be given to this machine's TensorRT. No package and no GPU is needed to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from rtseg.artifacts import Manifest
from rtseg.errors import RunnerError
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec
from rtseg.tensorrt.preflight import require_runnable

CLASSES = ClassSpec("two", ("road", "sky"), ((0, 0, 0), (1, 1, 1)))
AGAIN = r"Try: rtseg build ONNX --precision int8, on this machine"


@dataclass(frozen=True)
class Gpu:
    name: str
    compute_capability: tuple[int, int]


H200, H100, ADA, ORIN, TURING = (
    Gpu("NVIDIA H200", (9, 0)),
    Gpu("NVIDIA H100", (9, 0)),
    Gpu("NVIDIA L4", (8, 9)),
    Gpu("Orin", (8, 7)),
    Gpu("Tesla T4", (7, 5)),
)


def engine(compatibility: str = "none", **details: Any) -> Manifest:
    told = {
        "tensorrt": "8.5.3.1",
        "device": "NVIDIA H200",
        "compute_capability": "9.0",
        "profile": {"hardware_compatibility": compatibility},
        **details,
    }
    output = OutputSpec(CLASSES, "logits", 8, align_corners=False)
    return Manifest("engine", "affnet", {}, "", "int8", ImageSpec(64, 96), output, details=told)


def test_an_engine_of_this_machine_is_run_without_a_word() -> None:
    assert require_runnable(engine(), "8.5.3.1", H200) == ()


@pytest.mark.parametrize("release", ["8.5.2.2", "8.6.1.6", "10.3.0.26", "8.5.3.2", "11.4.0"])
def test_another_version_is_refused_to_its_last_number_with_the_command_that_mends_it(release: str) -> None:
    told = rf"of another version of TensorRT; got 8\.5\.3\.1 in its manifest; expected {release}, which is .*{AGAIN}"
    with pytest.raises(RunnerError, match=told):
        require_runnable(engine(), release, H200)


@pytest.mark.parametrize(("built", "here"), [("8.5.3", "8.5.3.1"), ("10.3.0.26", "10.3.0")])
def test_a_version_told_without_its_build_number_is_the_same(built: str, here: str) -> None:
    assert require_runnable(engine(tensorrt=built), here, H200) == ()


@pytest.mark.parametrize("compatibility", ["none", "same_compute_capability"])
@pytest.mark.parametrize("gpu", [ADA, ORIN, TURING])
def test_a_gpu_of_another_compute_capability_is_refused(compatibility: str, gpu: Gpu) -> None:
    major, minor = gpu.compute_capability
    told = rf"for another GPU; got {gpu.name} of compute capability {major}\.{minor}; expected 9\.0, as the.*{AGAIN}"
    with pytest.raises(RunnerError, match=told):
        require_runnable(engine(compatibility), "8.5.3.1", gpu)


@pytest.mark.parametrize("compatibility", ["none", "same_compute_capability", "ampere_plus"])
def test_another_model_of_the_same_capability_runs_with_a_note(compatibility: str) -> None:
    (note,) = require_runnable(engine(compatibility), "8.5.3.1", H100)
    assert note.startswith("the engine was built on NVIDIA H200: on NVIDIA H100 other kernels may be faster")


@pytest.mark.parametrize("gpu", [ADA, ORIN])
def test_an_engine_for_ampere_and_newer_runs_on_all_of_them(gpu: Gpu) -> None:
    assert len(require_runnable(engine("ampere_plus"), "8.5.3.1", gpu)) == 1
    with pytest.raises(RunnerError, match=r"got Tesla T4 of compute capability 7\.5; expected 8\.0 or newer"):
        require_runnable(engine("ampere_plus"), "8.5.3.1", TURING)


@pytest.mark.parametrize(
    ("details", "told"),
    [
        ({"tensorrt": ""}, "does not say which TensorRT"),
        ({"tensorrt": "unknown"}, "does not say which TensorRT built the engine; got 'unknown'"),
        ({"compute_capability": None}, "does not say which GPU"),
        ({"compute_capability": "9"}, "does not say which GPU the engine is for; got '9'"),
    ],
)
def test_a_manifest_that_does_not_tell_is_refused(details: dict[str, Any], told: str) -> None:
    with pytest.raises(RunnerError, match=f"{told}.*{AGAIN}"):
        require_runnable(engine(**details), "8.5.3.1", H200)


def test_an_engine_without_a_profile_is_for_its_own_gpu() -> None:
    assert require_runnable(engine(profile=None), "8.5.3.1", H200) == ()
    with pytest.raises(RunnerError, match="for another GPU"):
        require_runnable(engine(profile=None), "8.5.3.1", ADA)
