"""Make the files that a benchmark times from networks: export, calibrate, quantize and build them, with caches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.cache import Cache
from rtseg.artifacts.manifest import is_intact
from rtseg.benchmarking.session import SCENE
from rtseg.benchmarking.subjects import Obstacle, Subject
from rtseg.datasets.streets.dataset import render_scene
from rtseg.errors import CudaError, MissingDependencyError, RtsegError
from rtseg.observer import Observer
from rtseg.pipeline.calibration_stage import calibrate
from rtseg.pipeline.contenders import Contender
from rtseg.pipeline.engine_stages import BuildResult, build
from rtseg.pipeline.quantization_stages import quantize
from rtseg.runners.cuda.registry import DEFAULT
from rtseg.runners.tensorrt.module import RTX, TENSORRT
from rtseg.specs import Resolution

if TYPE_CHECKING:
    from rtseg.networks.prepared import PreparedNetwork

QUANTIZED = Cache("quantized", ".onnx", keep=256)
ENGINES = Cache("timed-engines", ".engine", keep=256)
"""Enough that no benchmark loses a file that it made and has not loaded yet."""

RENDERED = "streets"
RENDERED_PICTURES = 16
"""Enough for ranges on which no accuracy depends."""


class BenchmarkFiles:
    """Makes the files. If a file cannot be made, its subject holds the reason, and the others are not affected.

    data is the source of the pictures for INT8 ranges ("camvid:DIR"): its training split if there is one, else `split`.
    Without data the pictures are rendered.
    """

    def __init__(self, data: str | None, split: str, threads: int) -> None:
        self._data, self._split, self._threads = data, split, threads
        self._said: set[str] = set()
        self._capability = _capability_of_this_machine()

    def subject(
        self,
        network: PreparedNetwork,
        resolution: Resolution,
        interface: str,
        contender: Contender,
        observer: Observer,
    ) -> Subject:
        """Return the file of that network with that interface for that contender, or the reason why it cannot be made.

        Raises SpecError for a resolution that the network does not support, and KeyboardInterrupt.
        """
        network.image_spec(resolution)  # an unsupported size is the caller's mistake
        subject = Subject(
            network.name,
            network.weights,
            str(resolution),
            contender.precision,
            interface,
            contender.runner,
            options=network.options,
        )
        try:
            artifact, verdict = self._made(network, resolution, interface, contender, observer)
        except RtsegError as error:
            self._say_once(observer, str(error))
            return replace(subject, obstacle=Obstacle.of_making(error))
        return replace(subject, artifact=artifact, verdict=verdict)

    def _made(
        self,
        network: PreparedNetwork,
        resolution: Resolution,
        interface: str,
        contender: Contender,
        observer: Observer,
    ) -> tuple[Artifact, Mapping[str, Any] | None]:
        from rtseg.exporting.cache import cached_export

        target = TENSORRT if contender.runs_engines else _target_of(contender.runner)
        picture = render_scene(*SCENE, resolution.height, resolution.width)[0]
        exported = Artifact.open(
            cached_export(network, resolution, interface, target=target, images=[picture]), kind="onnx"
        )
        if not contender.runs_engines:
            if contender.precision == "fp32":
                return exported, None
            return self._quantized(exported, contender.precision, _target_of(contender.runner), observer), None
        graph = self._quantized(exported, "int8", TENSORRT, observer) if contender.precision == "int8" else exported
        return self._built(graph, contender, observer)

    def _quantized(self, exported: Artifact, precision: str, target: str, observer: Observer) -> Artifact:
        from rtseg.calibration.table import ranges_sha256
        from rtseg.exporting.cache import code_of

        table = None
        if precision == "int8":
            data, split, images = self._pictures(exported.manifest.image.resolution, observer)
            watching = observer if self._data else ProgressAlone(observer)  # nobody relies on rendered ranges
            table = calibrate(exported, data, split=split, images=images, threads=self._threads, observer=watching)
        else:
            target = TENSORRT  # FP16 is the same for all targets
        ranges = None if table is None else ranges_sha256(table.table)
        key = [exported.manifest.sha256, precision, target, ranges, code_of("quantization/files.py")]
        path = QUANTIZED.path(key, label=_label(exported, precision))
        with QUANTIZED.locked(path):
            if not is_intact(path):
                quantize(exported, table, path, to=precision, target=target, threads=self._threads, observer=observer)
        QUANTIZED.used(path)
        return Artifact.open(path, kind="onnx")

    def _pictures(self, size: Resolution, observer: Observer) -> tuple[str, str | None, int | None]:
        """Return data, split and number of the pictures for measuring ranges."""
        from rtseg.datasets.registry import is_labelled, open_pictures

        if self._data is None:
            text = f"INT8 ranges are measured on {RENDERED_PICTURES} rendered pictures; --data names real ones"
            self._say_once(observer, text)
            return f"{RENDERED}:{size}", None, RENDERED_PICTURES
        try:
            open_pictures(self._data, "train")
        except RtsegError as error:
            if is_labelled(self._data):
                self._say_once(observer, f"INT8 ranges are measured on the split {self._split}: {error}")
            return self._data, self._split, None
        return self._data, None, None

    def _say_once(self, observer: Observer, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            observer.note(text)

    def _built(self, graph: Artifact, contender: Contender, observer: Observer) -> tuple[Artifact, Mapping[str, Any]]:
        precision, runner = contender.precision, contender.runner
        path = ENGINES.path(
            [graph.manifest.sha256, precision, runner, self._capability], label=_label(graph, precision)
        )
        rtx = runner == RTX
        with ENGINES.locked(path):
            made = build(
                graph,
                path,
                precision=precision,
                runtime=RTX if rtx else TENSORRT,
                capabilities=self._capability if rtx else (),
                cuda="pycuda" if runner.endswith("-pycuda") else DEFAULT,
                observer=observer,
            )
        ENGINES.used(path)
        assert isinstance(made, BuildResult)  # the runtime is not OpenVINO
        return made.artifact, made.verdict.to_json()


class ProgressAlone(Observer):
    """Passes on progress, and drops notes and warnings."""

    def __init__(self, whole: Observer) -> None:
        self._whole = whole

    def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
        """Pass on progress."""
        self._whole.progress(task, done, total, detail)

    def note(self, text: str) -> None:
        """Drop it."""

    def warning(self, text: str) -> None:
        """Drop it."""


def _target_of(runner: str) -> str:
    """Return the quantization target for a runner of ONNX files."""
    if runner.startswith("openvino"):
        return "openvino"
    return TENSORRT if runner == "onnxruntime-tensorrt" else "onnxruntime"


def _label(artifact: Artifact, precision: str) -> str:
    manifest = artifact.manifest
    return f"{manifest.network}-{manifest.image.resolution}-{manifest.output.interface}.{precision}"


def _capability_of_this_machine() -> tuple[str, ...]:
    """Return the compute capability of this machine's GPU; empty without one: then engines are built for every kind."""
    from rtseg.engines.platform import capability_text
    from rtseg.runners.cuda.registry import open_cuda

    try:
        return (capability_text(open_cuda().device.compute_capability),)
    except (CudaError, MissingDependencyError):
        return ()
