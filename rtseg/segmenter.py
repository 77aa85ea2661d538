"""An image in, a label map out, over any runner."""

from __future__ import annotations

import functools
import json
import reprlib
from types import TracebackType
from typing import Any, Callable

import numpy as np
from numpy.typing import NDArray

from rtseg.artifacts import Manifest, PathLike, read_manifest
from rtseg.errors import ManifestError, RtsegError, RunnerError
from rtseg.images.geometry import resize_labels
from rtseg.images.palette import overlay as laid_over
from rtseg.images.preprocess import resized_image, tensor_from_image
from rtseg.runners.protocol import Frames, FrameStep, Pixels, Runner
from rtseg.runners.registry import RUNNABLE, default_runner, file_runner
from rtseg.specs import ImageSpec, OutputSpec, contract_metadata, tensor_shapes
from rtseg.tail import labels_from_logits


class Segmenter:
    """The whole frame: preprocessing, the runner, and the tail that turns logits into labels.

    Where the runner has the two ends on its own device it does the frame; else they are done here, on the host.
    Safe to call from several threads at once. threads bounds the cores the host's ends use; 0 is all.
    """

    def __init__(self, runner: Runner, image: ImageSpec, output: OutputSpec, *, threads: int = 0) -> None:
        runner.open()
        expected = tensor_shapes(image, output)
        for side, got, shape in zip(("input", "output"), (runner.input.shape, runner.output.shape), expected):
            if got != shape:
                runner.close()
                raise RunnerError(f"the graph's {side} is not what its manifest says", got=got, expected=shape)
        self.runner = runner
        self.image = image
        self.output = output
        self.threads = threads
        try:
            self._frames = runner.frames(image, output) or HostFrames(self)
        except RtsegError:
            runner.close()
            raise

    def __call__(self, image: Pixels) -> Pixels:
        """Return the label map, uint8 (height, width), of a uint8 RGB (height, width, 3) image of any size.

        Labels come at the image's own size: logits and scores are interpolated straight to it, a
        graph that gives labels itself has them resized to the nearest. Raises ImageError.
        """
        return self._frames(image)

    def tensor(self, image: Pixels) -> NDArray[Any]:
        """Return what the graph takes for that image, batch axis included. Raises ImageError."""
        if self.output.interface == "labels":
            return resized_image(image, self.image)[None]
        tensor = tensor_from_image(image, self.image, threads=self.threads)[None]
        return tensor.astype(self.runner.input.dtype, copy=False)

    def labels(self, result: NDArray[Any], *, height: int, width: int) -> Pixels:
        """Return the label map of a graph's result at that size."""
        if self.output.interface == "labels":
            return resize_labels(result[0], height, width)
        logits = result[0].astype(np.float32, copy=False)
        return labels_from_logits(
            logits, height=height, width=width, align_corners=self.output.align_corners, threads=self.threads
        )

    def bind(self, image: Pixels, *, overlay: float | None = None) -> FrameStep:
        """Return the whole frame as a step: that image in host memory in, its label map out.

        With overlay, the opacity of the class colours from 0 to 1, the step lays them over the image too. All buffers
        are made once; `labels` and `overlay` of the step are overwritten by each call. One thread at a time.

        Raises ImageError, and SpecError for an opacity out of range.
        """
        return self._frames.bind(image, overlay=overlay)

    def close(self) -> None:
        """Free the runner."""
        self.runner.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class HostFrames(Frames):
    """Frames whose two ends are the host's work."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def __call__(self, image: Pixels) -> Pixels:
        """Return the label map of an image."""
        segmenter = self._segmenter
        result = segmenter.runner.infer(segmenter.tensor(image))
        return segmenter.labels(result, height=image.shape[0], width=image.shape[1])

    def bind(self, image: Pixels, *, overlay: float | None = None) -> FrameStep:
        """Return a step for frames of that image's size."""
        return HostFrameStep(self._segmenter, image, overlay)


class HostFrameStep(FrameStep):
    """A frame whose two ends are the host's work."""

    def __init__(self, segmenter: Segmenter, image: Pixels, opacity: float | None = None) -> None:
        self.image = np.array(image, order="C")
        self.labels = segmenter(self.image)
        self._segmenter = segmenter
        self._step = segmenter.runner.bind(segmenter.tensor(self.image))
        self._lay_over: Callable[[], object] | None = None
        if opacity is not None:
            made = self.overlay = np.empty_like(self.image)
            classes = segmenter.output.classes
            self._lay_over = functools.partial(laid_over, self.image, self.labels, classes, opacity=opacity, out=made)
            self._lay_over()

    def __call__(self) -> None:
        """Take the image through preprocessing, graph and tail once, and lay the colours over it if that was asked."""
        self._label()
        if self._lay_over is not None:
            self._lay_over()

    def _label(self) -> None:
        segmenter, step = self._segmenter, self._step
        height, width = self.labels.shape
        if segmenter.output.interface == "labels":
            step.input[0] = resized_image(self.image, segmenter.image)
            step()
            self.labels[...] = resize_labels(step.output[0], height, width)
            return
        if step.input.dtype == np.float32:
            tensor_from_image(self.image, segmenter.image, threads=segmenter.threads, out=step.input[0])
        else:
            step.input[...] = segmenter.tensor(self.image)
        step()
        labels_from_logits(
            step.output[0].astype(np.float32, copy=False),
            height=height,
            width=width,
            align_corners=segmenter.output.align_corners,
            threads=segmenter.threads,
            out=self.labels,
        )


def load(path: PathLike, *, runner: str | None = None, threads: int = 0) -> Segmenter:
    """Return a segmenter for an exported ONNX file or an engine, whose manifest is verified first.

    runner is a name of rtseg.runners.registry, by default onnxruntime for an ONNX file, and for an engine the
    product that built it, tensorrt or tensorrt-rtx.
    Raises ManifestError for a file that is not what its manifest tells of, UnknownNameError and RunnerError.
    """
    manifest = read_manifest(path, kind=RUNNABLE)
    opened = file_runner(runner or default_runner(manifest), path, kind=manifest.kind, threads=threads)
    opened.open()
    try:
        _require_same_contract(path, manifest, opened.metadata)
    except ManifestError:
        opened.close()
        raise
    return Segmenter(opened, manifest.image, manifest.output, threads=threads)


def _require_same_contract(path: PathLike, manifest: Manifest, metadata: dict[str, str] | None) -> None:
    if metadata is None:
        return
    expected = contract_metadata(manifest.image, manifest.output)
    for key, value in expected.items():
        if metadata.get(key) != value:
            got, wanted = _difference(metadata.get(key, ""), value)
            raise ManifestError(
                f"{path} and its manifest state different contracts: {key}",
                got=got,
                expected=wanted,
                hint=f"rtseg export {manifest.network} --resolution {manifest.image.resolution}",
            )


def _difference(stated: str, expected: str) -> tuple[str, str]:
    """Return the fields in which two contracts differ, each side in words."""
    wanted = _flat(json.loads(expected))
    try:
        got = _flat(json.loads(stated))
    except (ValueError, RecursionError):
        return (reprlib.repr(stated) if stated else "nothing"), "a contract in JSON"
    differing = [name for name in [*wanted, *got] if got.get(name) != wanted.get(name)]
    sides = ({name: side[name] for name in dict.fromkeys(differing) if name in side} for side in (got, wanted))
    first, second = (reprlib.repr(side) for side in sides)
    return first, second


def _flat(contract: Any) -> dict[str, Any]:
    """Return a contract's fields, those of its class list beside them."""
    fields = dict(contract) if isinstance(contract, dict) else {"contract": contract}
    classes = fields.pop("classes", {})
    return {**fields, **(classes if isinstance(classes, dict) else {"classes": classes})}
