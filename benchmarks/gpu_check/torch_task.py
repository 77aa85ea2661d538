"""The same frame in plain torch: uint8 image in host memory to uint8 labels in host memory. Needs torch and NumPy.

The network is the one that is trained, in evaluation mode, as a torch user runs it. Its settings are torch's own, but
for cuDNN's search for the fastest convolutions, which a user with one size of image turns on.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu_check.agreement import compare
from benchmarks.gpu_check.cases import Case, CaseFolder, Pixels
from benchmarks.gpu_check.timing import RULE, facts_of
from rtseg.artifacts.manifest import Manifest
from rtseg.benchmarking.environment import gpus
from rtseg.benchmarking.sampling import measure_interleaved
from rtseg.errors import ArtifactError
from rtseg.networks.normalization import NormalizingModule
from rtseg.networks.prepared import build_network
from rtseg.networks.spec import SegmentationNetwork
from rtseg.specs import ImageSpec

Report = Callable[[Mapping[str, Any]], None]
Step = Callable[[], object]

WARMING_CALLS = 3
"""Before a capture: cuDNN searches and allocators settle outside the graph."""

EAGER_FP32 = "eager fp32"
"""What the ratio is taken of."""


def torch_and_gpu() -> tuple[str, str | None]:
    """Return torch's version and the name of the GPU it sees, None without one."""
    return torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else None


@dataclass(frozen=True)
class Way:
    """One way to run the frame: its precision, the layout of its tensors, and whether compiled or in a CUDA graph."""

    half: bool = False
    channels_last: bool = False
    compiled: bool = False
    graphed: bool = False


WAYS: Mapping[str, Mapping[str, Way]] = {
    "torch": {
        EAGER_FP32: Way(),
        "eager fp16": Way(half=True),
        "graph fp16": Way(half=True, graphed=True),
        "graph fp16, channels last": Way(half=True, channels_last=True, graphed=True),
    },
    "torch-compile": {EAGER_FP32: Way(), "compile fp16": Way(half=True, compiled=True)},
}
"""By kind of task. A GPU does all; on a CPU only what needs neither FP16 nor a graph is of use."""


def torch_task(
    folder: CaseFolder, case: Case, kind: str, scratch: Path, report: Report, *, device: str = "cuda", beside: bool
) -> None:
    """Time the ways of that kind in turns, and compare the labels of each with ONNX Runtime's.

    With beside the FP16 engine takes turns with them. A way that torch refuses is told, the others go on. Raises
    ArtifactError for weights that do not fit, and what torch raises where nothing is left to compare.
    """
    torch.backends.cudnn.benchmark = True
    report({"device": _device_name(device), "settings": _settings()})
    image, _ = folder.picture(case.pictures[0])
    ways = {name: way for name, way in WAYS[kind].items() if device == "cuda" or way == Way()}
    frames, refused = {}, {}
    for name, way in ways.items():
        try:
            frames[name] = TorchFrame(folder, case, way, image, torch.device(device))
        except Exception as error:  # compilers and captures raise what they like
            if name == EAGER_FP32 or len(ways) == 2:
                raise
            refused[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
    report(
        {
            "refused": refused,
            "agreement": {name: compare(folder, case, "fp32", one, own_size=True) for name, one in frames.items()},
        }
    )
    steps: dict[str, Step] = dict(frames)
    if beside:
        steps["engine fp16"] = _engine_frame(folder, case, image, scratch)
    samples = measure_interleaved(steps, RULE)
    report({"gpus": gpus(), "in_turns": {name: facts_of(taken) for name, taken in samples.items()}})


class TorchFrame:
    """A frame on buffers in place. Calling it runs it once and waits; with an image it returns the labels of that."""

    def __init__(self, folder: CaseFolder, case: Case, way: Way, image: Pixels, device: torch.device) -> None:
        manifest = Manifest.from_json(case.checkpoint)
        network = loaded_network(folder, case).to(device)
        size = case.size
        spec = ImageSpec.of(size, manifest.image.normalization)
        dtype = torch.float16 if way.half else torch.float32
        ends = PlainFrame(network, spec, dtype).to(device).eval()
        network.to(dtype)
        if way.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._work: Callable[[Tensor], Tensor] = torch.compile(ends) if way.compiled else ends
        self._cuda = device.type == "cuda"
        self._given = torch.from_numpy(image.copy())
        self._made = torch.empty((size.height, size.width), dtype=torch.uint8)
        if self._cuda:
            self._given, self._made = self._given.pin_memory(), self._made.pin_memory()
        self._device = device
        self._graph = self._captured() if way.graphed else None
        self()

    def __call__(self, image: Pixels | None = None) -> Pixels:
        """Run the frame once; return its labels, which the next call overwrites unless an image was given."""
        if image is not None:
            self._given.copy_(torch.from_numpy(image))
        with torch.inference_mode():
            if self._graph is not None:
                self._graph.replay()
            else:
                self._frame()
        if self._cuda:
            torch.cuda.current_stream().synchronize()
        labels: Pixels = self._made.numpy()
        return labels if image is None else labels.copy()

    def _frame(self) -> None:
        pixels = self._given.to(self._device, non_blocking=True)
        self._made.copy_(self._work(pixels), non_blocking=True)

    def _captured(self) -> torch.cuda.CUDAGraph:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(stream):
            for _ in range(WARMING_CALLS):
                self._frame()
            stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=stream):
                self._frame()
        torch.cuda.current_stream().wait_stream(stream)
        return graph


class PlainFrame(NormalizingModule):
    """A network between its two ends, written as the contracts say: uint8 HWC in, uint8 labels out."""

    def __init__(self, network: SegmentationNetwork, image: ImageSpec, dtype: torch.dtype) -> None:
        super().__init__(image.normalization)
        self.network = network
        self._bgr = image.colour_order == "BGR"
        self._dtype = dtype
        self._size = (image.height, image.width)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return labels, uint8 (height, width), of uint8 RGB (height, width, 3)."""
        planes = pixels.permute(2, 0, 1)
        planes = planes.flip(0) if self._bgr else planes
        tensor = self.normalized(planes).to(self._dtype)[None]
        scores = F.interpolate(
            self.network(tensor), size=self._size, mode="bilinear", align_corners=self.network.align_corners
        )
        return scores.argmax(1)[0].to(torch.uint8)


def loaded_network(folder: CaseFolder, case: Case) -> SegmentationNetwork:
    """Return the case's network with its weights, in float32. Raises ArtifactError where the weights do not fit."""
    manifest = Manifest.from_json(case.checkpoint)
    prepared = build_network(manifest.network, manifest.output.classes, options=manifest.options)
    state = {name: torch.from_numpy(values) for name, values in folder.arrays(case.weights).items()}
    try:
        prepared.module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    except RuntimeError as error:
        first = str(error).strip().splitlines()[0]
        raise ArtifactError(
            f"the weights of {case.network} do not fit the network", got=first, hint="make gpu-cases again"
        ) from error
    return prepared.module


def _engine_frame(folder: CaseFolder, case: Case, image: Pixels, scratch: Path) -> Step:
    from benchmarks.gpu_check.engine_task import built_engine, frame_step
    from rtseg.runners.loading import load

    return frame_step(load(built_engine(folder, case, "logits", "fp16", scratch).path), image)


def _settings() -> dict[str, Any]:
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        "tf32_products": torch.backends.cuda.matmul.allow_tf32,
        "threads": torch.get_num_threads(),
    }


def _device_name(device: str) -> str:
    return f"GPU ({torch.cuda.get_device_name()})" if device == "cuda" else f"CPU ({platform.machine()})"
