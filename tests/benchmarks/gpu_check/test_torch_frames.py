"""The frame in plain torch, on the CPU: what it gives, and what a task tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.gpu_check import torch_task
from benchmarks.gpu_check.cases import Case, CaseFolder
from benchmarks.gpu_check.torch_task import EAGER_FP32, PlainFrame, TorchFrame, Way
from rtseg.benchmarking.sampling import SamplingRule
from rtseg.specs import ImageSpec

pytestmark = pytest.mark.usefixtures("one_core")

CPU = torch.device("cpu")


class FirstChannels(nn.Module):
    """Logits that are the normalised channels, at half the size: what a frame does to them shows in the labels."""

    align_corners = False

    def forward(self, images: Tensor) -> Tensor:
        return images[..., ::2, ::2]


def test_the_frame_gives_onnx_runtimes_labels(folder: CaseFolder, case: Case) -> None:
    image, _ = folder.picture(case.pictures[0])
    frame = TorchFrame(folder, case, Way(), image, CPU)
    expected = folder.references(case, "fp32")
    for picture, reference in zip(case.pictures, expected):
        assert np.mean(frame(folder.picture(picture)[0]) == reference) > 0.999
    assert len(np.unique(expected[0])) > 1


def test_labels_of_a_given_image_stay_and_those_of_a_bare_call_are_the_buffer(folder: CaseFolder, case: Case) -> None:
    first, second = (folder.picture(picture)[0] for picture in case.pictures)
    frame = TorchFrame(folder, case, Way(channels_last=True), first, CPU)
    of_first = frame(first)
    kept = of_first.copy()
    assert not np.array_equal(frame(second), of_first)
    np.testing.assert_array_equal(of_first, kept)
    assert frame() is not frame(second) and np.shares_memory(frame(), frame())


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_the_ends_normalise_in_the_contracts_order_of_colours(order: str) -> None:
    spec = ImageSpec(16, 16, order, 1 / 255, (0.0, 0.0, 0.5), (1.0, 1.0, 1.0))
    frame = PlainFrame(FirstChannels(), spec, torch.float32)  # type: ignore[arg-type]
    pixels = torch.zeros(16, 16, 3, dtype=torch.uint8)
    pixels[..., 0], pixels[..., 2] = 100, 120
    # RGB: 0.39, 0, 0.47 - 0.5. BGR: 0.47, 0, 0.39 - 0.5. The first channel of the network wins either way ...
    assert frame(pixels).unique().tolist() == [0]
    pixels[..., 0], pixels[..., 2] = 255, 0
    # ... and here RGB gives 1, 0, -0.5, BGR 0, 0, 0.5.
    assert frame(pixels).unique().tolist() == ([0] if order == "RGB" else [2])


def test_a_task_tells_what_was_run_on_what_with_its_agreement_and_every_sample(
    folder: CaseFolder, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = SamplingRule(min_seconds=0, max_seconds=0, min_samples=3, max_samples=3, warmup_seconds=0)
    monkeypatch.setattr(torch_task, "RULE", rule)
    found: dict[str, Any] = {}
    torch_task.torch_task(folder, case, "torch", tmp_path, found.update, device="cpu", beside=False)
    assert found["device"].startswith("CPU")
    assert list(found["in_turns"]) == list(found["agreement"]) == [EAGER_FP32]
    assert found["agreement"][EAGER_FP32]["share"] > 0.999
    assert len(found["in_turns"][EAGER_FP32]["samples_ns"]) == 3
    assert found["settings"]["torch"] == torch.__version__
    assert found["refused"] == {}


def test_a_way_that_torch_refuses_is_told_and_the_others_go_on(
    folder: CaseFolder, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Way] = []

    class OnTheCpu(TorchFrame):
        def __init__(self, folder: CaseFolder, case: Case, way: Way, image: np.ndarray, device: torch.device) -> None:
            built.append(way)
            if way.graphed:
                raise RuntimeError("CUDA error: capture is not permitted\nsecond line")
            super().__init__(folder, case, replace(way, half=False), image, CPU)

    reports: list[Mapping[str, Any]] = []

    class EnoughError(Exception):
        pass

    def report(facts: Mapping[str, Any]) -> None:
        reports.append(facts)
        if "refused" in facts:
            raise EnoughError

    monkeypatch.setattr(torch_task, "TorchFrame", OnTheCpu)
    monkeypatch.setattr(torch_task, "_device_name", lambda device: device)
    with pytest.raises(EnoughError):
        torch_task.torch_task(folder, case, "torch", tmp_path, report, device="cuda", beside=False)
    refused = "RuntimeError: CUDA error: capture is not permitted"
    assert reports[-1]["refused"] == {"graph fp16": refused, "graph fp16, channels last": refused}
    assert list(reports[-1]["agreement"]) == [EAGER_FP32, "eager fp16"]
    assert len(built) == 4
