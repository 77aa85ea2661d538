"""Which engines may be given to this machine's TensorRT or TensorRT for RTX. Neither package nor GPU is needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from rtseg.artifacts.details import EngineDetails
from rtseg.artifacts.manifest import Manifest
from rtseg.errors import RunnerError
from rtseg.runners.tensorrt.preflight import require_release_inside, require_runnable, runtime_of
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec

CLASSES = ClassSpec("two", ("road", "sky"), ((0, 0, 0), (1, 1, 1)))
AGAIN = r"Try: run rtseg build ONNX --precision int8 on this machine"


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
        "runtime": "tensorrt",
        "release": "8.5.3.1",
        "gpu": "NVIDIA H200",
        "compute_capabilities": ("9.0",),
        "settings": {"hardware_compatibility": compatibility},
        **details,
    }
    output = OutputSpec(CLASSES, "logits", 8, align_corners=False)
    return Manifest("engine", "affnet", {}, "", "int8", ImageSpec(64, 96), output, details=EngineDetails(**told))


def test_an_engine_of_this_machine_is_run_without_a_word() -> None:
    assert require_runnable(engine(), "8.5.3.1", H200) == ()


@pytest.mark.parametrize("release", ["8.5.2.2", "8.6.1.6", "10.3.0.26", "8.5.3.2", "11.4.0"])
def test_another_version_is_refused_to_its_last_number_with_the_command_that_mends_it(release: str) -> None:
    told = rf"with another version of TensorRT; got 8\.5\.3\.1 in its manifest; expected {release}, which is .*{AGAIN}"
    with pytest.raises(RunnerError, match=told):
        require_runnable(engine(), release, H200)


@pytest.mark.parametrize(("built", "here"), [("8.5.3", "8.5.3.1"), ("10.3.0.26", "10.3.0")])
def test_a_version_told_without_its_build_number_is_the_same(built: str, here: str) -> None:
    assert require_runnable(engine(release=built), here, H200) == ()


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
        ({"release": ""}, "does not say which TensorRT"),
        ({"release": "unknown"}, "does not say which TensorRT built the engine; got 'unknown'"),
        ({"compute_capabilities": ()}, "does not say which GPU"),
        ({"compute_capabilities": ("9",)}, "does not say which GPU the engine is for; got '9'"),
    ],
)
def test_a_manifest_that_does_not_tell_is_refused(details: dict[str, Any], told: str) -> None:
    with pytest.raises(RunnerError, match=f"{told}.*{AGAIN}"):
        require_runnable(engine(**details), "8.5.3.1", H200)


def test_an_engine_without_settings_is_for_its_own_gpu() -> None:
    assert require_runnable(engine(settings={}), "8.5.3.1", H200) == ()
    with pytest.raises(RunnerError, match="for another GPU"):
        require_runnable(engine(settings={}), "8.5.3.1", ADA)


# TensorRT for RTX

RTX_AGAIN = r"Try: run rtseg build ONNX --runtime tensorrt-rtx --precision int8"

RTX_2080, RTX_3060, RTX_4090, B200, RTX_5090, SPARK, LATER = (
    Gpu("NVIDIA GeForce RTX 2080", (7, 5)),
    Gpu("NVIDIA GeForce RTX 3060", (8, 6)),
    Gpu("NVIDIA GeForce RTX 4090", (8, 9)),
    Gpu("NVIDIA B200", (10, 0)),
    Gpu("NVIDIA GeForce RTX 5090", (12, 0)),
    Gpu("NVIDIA GB10", (12, 1)),
    Gpu("NVIDIA of later", (13, 0)),
)
PORTABLE = ("8.6", "8.9", "12.0", "12.1")


def rtx_engine(*capabilities: str, portable: bool = False, **details: Any) -> Manifest:
    told = {
        "runtime": "tensorrt-rtx",
        "release": "1.7.1.116",
        "compute_capabilities": capabilities,
        "portable": portable,
        **details,
    }
    return replace(engine(), details=EngineDetails(**told))


def of_rtx(manifest: Manifest, gpu: Gpu = RTX_4090, release: str = "1.7.1.116") -> tuple[str, ...]:
    return require_runnable(manifest, release, gpu)


@pytest.mark.parametrize("gpu", [RTX_3060, RTX_4090, RTX_5090, SPARK])
def test_a_portable_engine_runs_on_each_listed_gpu_without_a_word(gpu: Gpu) -> None:
    assert of_rtx(rtx_engine(*PORTABLE, portable=True), gpu) == ()
    assert of_rtx(rtx_engine("{}.{}".format(*gpu.compute_capability)), gpu) == ()


@pytest.mark.parametrize(
    ("listed", "gpu"), [(PORTABLE, LATER), (("8.6", "8.9"), RTX_5090), (("8.6", "8.9"), H100), (("8.6",), RTX_4090)]
)
def test_a_portable_engine_runs_on_a_later_gpu_with_a_note(listed: tuple[str, ...], gpu: Gpu) -> None:
    (note,) = of_rtx(rtx_engine(*listed, portable=True), gpu)
    here = "{}.{}".format(*gpu.compute_capability)
    assert note == (
        f"the engine was not compiled for compute capability {here}: the driver does that when it loads, and one built "
        "for it may be faster"
    )


@pytest.mark.parametrize("gpu", [RTX_2080, ORIN, H100, H200, B200])
def test_a_portable_engine_is_refused_on_a_gpu_that_its_list_leaves_out(gpu: Gpu) -> None:
    here = r"{}\.{}".format(*gpu.compute_capability)
    told = (
        rf"for other GPUs; got {gpu.name} of .* {here}; expected 8\.6, 8\.9, 12\.0, 12\.1 or newer\. {RTX_AGAIN} --comp"
    )
    with pytest.raises(RunnerError, match=told):
        of_rtx(rtx_engine(*PORTABLE, portable=True), gpu)


@pytest.mark.parametrize(
    ("listed", "gpu"),
    [(("8.6",), RTX_4090), (("8.9",), RTX_3060), (("7.5",), RTX_4090), (("8.6", "8.9"), LATER), (("12.1",), RTX_5090)],
)
def test_an_engine_for_named_gpus_runs_on_no_other(listed: tuple[str, ...], gpu: Gpu) -> None:
    expected = ", ".join(listed).replace(".", r"\.")
    with pytest.raises(RunnerError, match=rf"for other GPUs; got {gpu.name} of .*; expected {expected}\. {RTX_AGAIN}"):
        of_rtx(rtx_engine(*listed), gpu)


@pytest.mark.parametrize("release", ["1.7.0.95", "1.7.1.117", "1.6.1.120", "1.8.0.1", "11.4.0"])
def test_an_engine_belongs_to_one_release_to_its_last_number(release: str) -> None:
    told = rf"version of TensorRT for RTX; got 1\.7\.1\.116 in its manifest; expected {release}, which .*{RTX_AGAIN}"
    with pytest.raises(RunnerError, match=told):
        of_rtx(rtx_engine("8.9"), release=release)


def test_the_release_may_stand_among_the_tools_and_lack_its_build_number() -> None:
    assert of_rtx(replace(rtx_engine("8.9", release=""), tools={"tensorrt-rtx": "1.7.1.116"})) == ()
    assert of_rtx(rtx_engine("8.9"), release="1.7.1") == ()


@pytest.mark.parametrize(
    ("details", "told"),
    [
        ({"release": ""}, "does not say which TensorRT for RTX built the engine; got ''"),
        ({"compute_capabilities": ()}, r"does not say which GPUs the engine is for; got \(\)"),
        ({"compute_capabilities": ("8",)}, "does not say which GPUs the engine is for"),
    ],
)
def test_a_manifest_of_rtx_that_does_not_tell_is_refused(details: dict[str, Any], told: str) -> None:
    with pytest.raises(RunnerError, match=f"{told}.*{RTX_AGAIN}"):
        of_rtx(rtx_engine("8.9", **details))


def test_a_manifest_without_a_runtime_is_of_tensorrt() -> None:
    assert runtime_of(engine()) == "tensorrt"
    assert runtime_of(rtx_engine("8.9")) == "tensorrt-rtx"


@pytest.mark.parametrize(
    ("numbers", "release"), [((1, 7, 1), "1.7.1.116"), ((1, 4, 0), "1.4.0.76"), ((1, 7, 1), "1.7.1")]
)
def test_the_release_in_the_bytes_is_the_one_that_is_installed(numbers: tuple[int, ...], release: str) -> None:
    require_release_inside(bytes(24) + bytes(numbers) + b"the rest", release)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (bytes(24) + bytes((1, 6, 1)) + bytes(37), r"1\.6\.1"),
        (bytes(24) + bytes((1, 7, 0)) + bytes(37), r"1\.7\.0"),
        (bytes(24) + bytes((1, 7)), r"1\.7"),
        (b"", "nothing"),
    ],
)
def test_another_release_in_the_bytes_is_refused_with_both(content: bytes, got: str) -> None:
    told = rf"by this release of .* RTX; got {got} in its bytes 24 to 26; expected 1\.7\.1\.116\. Try: run rtseg build"
    with pytest.raises(RunnerError, match=told):
        require_release_inside(content, "1.7.1.116")
