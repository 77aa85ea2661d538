"""The line that the doctor ends with."""

from __future__ import annotations

import pytest

from rtseg.installation.finding import Finding
from rtseg.installation.summary import summary_line

PACKAGES = {
    "onnxruntime": "run pip install 'rtseg[cpu]'",
    "torch": "run pip install 'rtseg[export]'",
    "tensorrt": "run pip install 'rtseg[gpu]'",
    "tensorrt-rtx": "run pip install 'rtseg[rtx]'",
}
"""With what mends them."""

RUNTIMES = ("tensorrt", "tensorrt-rtx")
STEPS = (
    *("driver", "kernels compiled", "kernels run", "graph written", "onnxruntime run", "onnxruntime-cuda run"),
    *(f"{runtime} {step}" for runtime in RUNTIMES for step in ("built", "loaded", "compared", "timed")),
    "pycuda driver",
)
NO_DRIVER = {
    "driver": Finding("driver", False, "no NVIDIA driver: libcuda.so.1 is not there", "install the driver"),
    **{
        name: Finding(name, None, "not tried: no driver")
        for name in ("kernels run", "onnxruntime-cuda run", "tensorrt built", "pycuda driver")
    },
    **{
        f"{runtime} {step}": Finding(f"{runtime} {step}", None, "not tried: no driver")
        for runtime in RUNTIMES
        for step in ("loaded", "compared", "timed")
    },
}


def without(*runtimes: str) -> dict[str, Finding]:
    """Return the steps of products that are not installed."""
    return {
        f"{runtime} {step}": Finding(f"{runtime} {step}", None, f"not tried: no working {runtime}")
        for runtime in runtimes
        for step in ("built", "loaded", "compared", "timed")
    }


def line(*missing: str, **found: Finding) -> str:
    """Return the line where all works but those packages, and steps as they are given."""
    packages = [
        Finding(name, name not in missing, "", mend if name in missing else "") for name, mend in PACKAGES.items()
    ]
    return summary_line(packages, [found.get(name, Finding(name, True, "")) for name in STEPS])


def test_where_all_works_nothing_is_left_to_mend() -> None:
    assert line() == (
        "This machine exports networks, runs ONNX files on CPU and GPU, and builds and runs engines of TensorRT and "
        "TensorRT for RTX. Nothing is left to mend."
    )


def test_without_a_driver_it_says_what_is_built_what_is_lacking_and_what_to_install() -> None:
    assert line("tensorrt", **NO_DRIVER) == (
        "This machine exports networks, runs ONNX files, and builds engines of TensorRT for RTX; it runs no engine: no "
        "NVIDIA driver. Next: install the driver."
    )


def test_without_a_driver_the_package_that_builds_all_the_same_comes_first() -> None:
    assert line("tensorrt", "tensorrt-rtx", **{**NO_DRIVER, **without("tensorrt", "tensorrt-rtx")}) == (
        "This machine exports networks and runs ONNX files; it runs no engine: no NVIDIA driver. "
        "Next: run pip install 'rtseg[rtx]'; then install the driver."
    )


def test_on_a_gpu_without_either_product_both_are_told() -> None:
    said = line("tensorrt", "tensorrt-rtx", **without("tensorrt", "tensorrt-rtx"))
    assert "; it runs no engine: no working tensorrt. " in said
    assert said.endswith("Next: run pip install 'rtseg[rtx]'; then run pip install 'rtseg[gpu]'.")


def test_one_product_that_runs_is_enough() -> None:
    said = line("tensorrt-rtx", **without("tensorrt-rtx"))
    assert said.endswith("builds and runs engines of TensorRT. Nothing is left to mend.")


def test_a_step_that_fails_beside_engines_that_run_is_told() -> None:
    failed = Finding("onnxruntime-cuda run", False, "CUDA did not start; got no libcudnn", "install cuDNN")
    said = line(**{failed.name: failed})
    assert said.endswith("; but onnxruntime-cuda run fails: CUDA did not start. Next: install cuDNN.")


@pytest.mark.parametrize("step", ["built", "loaded", "compared", "timed"])
def test_where_the_only_engine_fails_its_first_failure_is_why_none_runs(step: str) -> None:
    steps = ["built", "loaded", "compared", "timed"]
    after = {f"tensorrt {name}": Finding("", None, "not tried: that") for name in steps[steps.index(step) :]}
    failed = {f"tensorrt {step}": Finding(f"tensorrt {step}", False, "it broke; got nothing", "glue")}
    said = line("tensorrt-rtx", **{**without("tensorrt-rtx"), **after, **failed})
    assert "; it runs no engine: it broke. Next: glue" in said


def test_an_engine_whose_labels_are_others_does_not_run() -> None:
    wrong = Finding("tensorrt compared", False, "the labels differ from ONNX Runtime's; got 20 %", "a report")
    said = line("tensorrt-rtx", **{**without("tensorrt-rtx"), wrong.name: wrong})
    assert "builds and runs" not in said and "builds engines of TensorRT" in said


def test_where_nothing_works_the_first_thing_to_install_is_told() -> None:
    broken = {
        name: Finding(name, None, "not tried: no graph")
        for name in STEPS
        if name not in ("driver", "kernels compiled", "graph written")
    }
    graph = Finding("graph written", False, "no onnx", "run pip install 'rtseg[cpu]'")
    said = line("onnxruntime", "torch", **{**broken, "driver": NO_DRIVER["driver"], "graph written": graph})
    assert said == (
        "Nothing works here yet; it runs no engine: no NVIDIA driver. "
        "Next: run pip install 'rtseg[cpu]'; then install the driver."
    )


def test_it_is_one_line() -> None:
    assert "\n" not in line(**NO_DRIVER)


def test_a_chain_that_could_not_begin_is_summed_up_too() -> None:
    folder = Finding("temporary folder", False, "no folder for temporary files: it is full", "TMPDIR with another")
    assert summary_line([], [folder]) == (
        "Nothing works here yet; it runs no engine: no folder for temporary files. Next: TMPDIR with another."
    )
