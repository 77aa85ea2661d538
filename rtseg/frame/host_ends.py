"""Both ends of a frame on the host: preprocessing an image into a graph's input, and turning its result into labels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rtseg.frame.geometry import resize_labels
from rtseg.frame.preprocess import resized_image, tensor_from_image
from rtseg.frame.protocol import Array, Pixels
from rtseg.frame.tail import labels_from_logits
from rtseg.frame.window import window_of
from rtseg.frame.workspaces import Workspaces
from rtseg.specs import ImageSpec, OutputSpec, tensor_shapes


@dataclass(frozen=True)
class HostEnds:
    """Preprocessing and postprocessing on the host, as a graph's two contracts describe them.

    threads limits the cores used; 0 uses all.

        ends = HostEnds(manifest.image, manifest.output)
        labels = ends.labels(runner.infer(ends.graph_input(image)), height=image.shape[0], width=image.shape[1])

    Several threads may use one object at the same time. The C++ core's memory and threads are kept in workspaces from
    call to call; a copy made by dataclasses.replace has its own.
    """

    image: ImageSpec
    output: OutputSpec
    threads: int = 0
    workspaces: Workspaces = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "workspaces", Workspaces(self.threads))

    @property
    def gives_labels(self) -> bool:
        """Whether the graph itself takes pixels and returns labels."""
        return self.output.interface == "labels"

    def graph_input(self, image: Pixels, dtype: str = "float32", *, out: Array | None = None) -> Array:
        """Return the graph's input for a uint8 RGB (height, width, 3) image of any size, with a batch axis.

        It is the normalised tensor of dtype, (1, 3, height, width) in the contract's size. For a graph that returns
        labels itself it is the resized pixels, always uint8, (1, height, width, 3). If out, of that shape, is given, it
        is filled and returned instead of a new array. It may have any floating-point dtype; a contiguous out is written
        in place.

        Raises ImageError if image is not such an image, and SpecError if out cannot hold the result.
        """
        if out is None:
            shape, _ = tensor_shapes(self.image, self.output)
            out = np.empty(shape, np.uint8 if self.gives_labels else dtype)
        made = out[0]
        if self.gives_labels:
            resized_image(image, self.image, threads=self.threads, workspaces=self.workspaces, out=made)
        elif made.dtype == np.float32 and made.flags.c_contiguous:
            tensor_from_image(image, self.image, threads=self.threads, workspaces=self.workspaces, out=made)
        else:
            made[...] = tensor_from_image(image, self.image, threads=self.threads, workspaces=self.workspaces)
        return out

    def labels(self, result: Array, *, height: int, width: int, out: Pixels | None = None) -> Pixels:
        """Return the label map, uint8 (height, width), for a graph's result on one image of that size.

        Logits and scores of any floating-point dtype are interpolated directly to that size; labels are resized with
        nearest neighbour. For a letterboxed image only the part of the result that it covers is used. If out, of the
        result's type and shape and C-contiguous, is given, it is filled and returned instead of a new array.

        Raises SpecError for an impossible size, result or out.
        """
        window = window_of(self.image, height, width)
        if self.gives_labels:
            covered = result[0] if window is None else window.cut(result[0])
            return resize_labels(covered, height, width, out=out)
        return labels_from_logits(
            np.ascontiguousarray(result[0], np.float32),
            height=height,
            width=width,
            align_corners=self.output.align_corners,
            threshold=self.output.threshold,
            window=window,
            threads=self.threads,
            workspaces=self.workspaces,
            out=out,
        )
