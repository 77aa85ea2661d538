"""The two contracts in every artifact: how an image becomes the network's input, and what the network returns.

This module imports no third-party package, because the specs are also read on the deployment target. Sizes are always
(height, width), written HEIGHTxWIDTH.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from rtseg.errors import SpecError
from rtseg.specs.versioned_json import SINCE_2, VersionedSpec, known_version

INTERFACES = ("logits", "scores", "labels")
FLOAT_INTERFACES = ("logits", "scores")
COLOUR_ORDERS = ("RGB", "BGR")
RESIZE_RULES = ("bilinear",)
FITS = ("stretch", "letterbox")
UPSAMPLING_RULES = ("bilinear",)

PRECISIONS = ("fp32", "fp16", "int8")
"""The precisions of files and engines."""

TARGETS = ("tensorrt", "onnxruntime", "openvino")
"""The runtimes that INT8 can be placed for."""

MAX_CLASSES = 256
"""Label maps are uint8."""

MAX_LOGIT = 1e30
"""Logits are clamped to this magnitude, so that no sum can overflow."""

PADDING = 114
"""The pixel value around a letterboxed image in most tools."""

MIN_SIDE = 16
MAX_SIDE = 16_384
MAX_PIXELS = 64 * 1024 * 1024
"""With more pixels, the full-resolution float32 scores of 19 classes alone would pass 5 GB."""

MAX_SEED = 2**32 - 1
"""The largest seed that all random generators in use accept."""

Colour = tuple[int, int, int]
Threshold = Optional[float]
"""None if labels are an argmax."""


@dataclass(frozen=True)
class Resolution:
    """A static image size in pixels. Raises SpecError for sizes out of range."""

    height: int
    width: int

    def __post_init__(self) -> None:
        for side, length in (("height", self.height), ("width", self.width)):
            if not MIN_SIDE <= length <= MAX_SIDE:
                raise SpecError(
                    f"the {side} of a resolution is out of range",
                    got=str(self),
                    expected=f"{MIN_SIDE} to {MAX_SIDE} pixels",
                    hint="use 512x1024 (height x width)",
                )
        if self.height * self.width > MAX_PIXELS:
            raise SpecError(
                "the resolution has too many pixels",
                got=f"{self} = {self.height * self.width} pixels",
                expected=f"at most {MAX_PIXELS}",
                hint="use 1024x2048 (height x width)",
            )

    @classmethod
    def parse(cls, text: str) -> Resolution:
        """Return the resolution written as HEIGHTxWIDTH, such as 512x1024."""
        match = re.fullmatch(r"(\d{1,9})[xX](\d{1,9})", text.strip())
        if match is None:
            raise SpecError("not a resolution", got=repr(text), expected="HEIGHTxWIDTH", hint="write 512x1024")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"

    def require_multiple_of(self, stride: int, network: str) -> None:
        """Raise SpecError, naming the nearest size that fits, unless both sides are multiples of stride."""
        if self.height % stride == 0 and self.width % stride == 0:
            return
        nearest = "x".join(str(max(stride, round(side / stride) * stride)) for side in (self.height, self.width))
        raise SpecError(
            f"{network} needs sides that are multiples of {stride}", got=str(self), expected=f"such as {nearest}"
        )


def _require_normalizing(scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """Raise SpecError, naming the field, unless (pixel * scale - mean) / std is finite in float32 for every pixel."""
    if not all(isinstance(values, (tuple, list)) and len(values) == 3 for values in (mean, std)):
        raise SpecError("mean and std have one value per channel", got=(mean, std), expected="3 each")
    for name, values in (("scale", (scale,)), ("mean", mean), ("std", std)):
        for value in values:
            if not _is_float32(value):
                raise SpecError(f"{name} is not a finite float32 number", got=reprlib.repr(value))
    if not scale > 0 or not all(value > 0 for value in std):
        raise SpecError("scale and std must be positive", got=(scale, std))
    for name, values in (("scale", (scale,)), ("std", std)):
        if not all(_is_float32(1 / value) and struct.pack("f", value) != struct.pack("f", 0) for value in values):
            raise SpecError(f"{name} is too small for float32", got=values[0] if len(values) == 1 else values)
    for offset, divisor in zip(mean, std):
        if not all(_is_float32(bound) for bound in (255 * scale, (255 * scale - offset) / divisor, offset / divisor)):
            raise SpecError(
                "scale, mean and std give values that float32 does not hold",
                got=(scale, mean, std),
                hint="use 1/255 as the scale",
            )


def _is_float32(value: float) -> bool:
    """Return whether a number stays finite when it is rounded to float32."""
    try:
        return math.isfinite(struct.unpack("f", struct.pack("f", value))[0])
    except (OverflowError, struct.error):
        return False


@dataclass(frozen=True)
class Normalization:
    """How pixel values become the network's input: (pixel * scale - mean) / std, channel by channel.

    mean and std are in the order of colour_order, which is also the order of the tensor's channels, and in the units of
    the scaled pixel.
    """

    colour_order: str = "RGB"
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        _require_normalizing(self.scale, self.mean, self.std)


IMAGENET_NORMALIZATION = Normalization()
NORMALIZATIONS = {
    "imagenet": IMAGENET_NORMALIZATION,
    "unit": Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
}
"""By name: ImageNet's mean and std, and pixels from 0 to 1."""


@dataclass(frozen=True)
class ImageSpec(VersionedSpec):
    """The preprocessing contract: how a uint8 image becomes the network's input.

    The image, of any size, is resized by the resize rule ("bilinear": half-pixel centres, edges clamped, no
    antialiasing, no rounding back to uint8), its channels are brought into colour_order, and each value becomes
    (pixel * scale - mean) / std. fit decides the size:

    stretch: to height x width, each side by its own factor.
    letterbox: both sides by the same factor, min(height / its height, width / its width), up or down; each side is then
    rounded to whole pixels, halves to even, and at least 1. The image is centred, at (height - its height) // 2 and
    (width - its width) // 2 from the top left. Around it all channels have the pixel value padding. Only a letterbox
    has a padding.
    """

    height: int
    width: int
    colour_order: str = "RGB"
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize: str = "bilinear"
    fit: str = field(default="stretch", metadata=SINCE_2)
    padding: int = field(default=PADDING, metadata=SINCE_2)

    def __post_init__(self) -> None:
        Resolution(self.height, self.width)
        _require_choice("colour order", self.colour_order, COLOUR_ORDERS)
        _require_choice("resize rule", self.resize, RESIZE_RULES)
        _require_choice("fit", self.fit, FITS)
        if not 0 <= self.padding <= 255:
            raise SpecError("the padding is not a pixel value", got=self.padding, expected="0 to 255")
        if self.fit == "stretch" and self.padding != PADDING:
            raise SpecError(
                "only a letterboxed image has padding",
                got=f"padding {self.padding} for a stretched one",
                hint="use --resize letterbox (fit='letterbox' in Python)",
            )
        _require_normalizing(self.scale, self.mean, self.std)

    @classmethod
    def of(
        cls, resolution: Resolution, normalization: Normalization, *, fit: str = "stretch", padding: int = PADDING
    ) -> ImageSpec:
        """Return the contract for images fitted to that resolution with that normalization."""
        return cls(
            resolution.height,
            resolution.width,
            normalization.colour_order,
            normalization.scale,
            normalization.mean,
            normalization.std,
            fit=fit,
            padding=padding,
        )

    @property
    def resolution(self) -> Resolution:
        """The size that the network sees."""
        return Resolution(self.height, self.width)

    @property
    def normalization(self) -> Normalization:
        """The part of the contract that does not depend on the size."""
        return Normalization(self.colour_order, self.scale, self.mean, self.std)


@dataclass(frozen=True)
class ClassSpec(VersionedSpec):
    """The classes of a label map: index i is names[i], drawn in palette[i] (RGB)."""

    dataset: str
    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    ignore_index: int = 255

    def __post_init__(self) -> None:
        if not 2 <= len(self.names) <= MAX_CLASSES:
            raise SpecError(
                "the number of classes is out of range",
                got=len(self.names),
                expected=f"2 to {MAX_CLASSES}",
                hint="pass --classes 2 (background and class); one output channel is enough for two classes"
                if len(self.names) == 1
                else "",
            )
        if len(self.palette) != len(self.names):
            raise SpecError("a palette has one colour per class", got=len(self.palette), expected=len(self.names))
        for colour in self.palette:
            if len(colour) != 3 or not all(isinstance(v, int) and 0 <= v <= 255 for v in colour):
                raise SpecError("a palette colour is three integers", got=colour, expected="0 to 255 each")

    def __len__(self) -> int:
        return len(self.names)

    def words(self, beside: ClassSpec) -> str:
        """Return the name and size of this list, for a message about two that differ: "camvid with 11 classes".

        If that is the same for both, the text also names the first class that differs.
        """
        ours, theirs = (f"{each.dataset or 'a list'} with {len(each)} classes" for each in (self, beside))
        differing = (i for i, (name, other) in enumerate(zip(self.names, beside.names)) if name != other)
        index = next(differing, None)
        return ours if ours != theirs or index is None else f"{ours}, of which {index} is {self.names[index]}"


@dataclass(frozen=True)
class OutputSpec(VersionedSpec):
    """The output contract: what the network returns and how it becomes a label map.

    logits: float32 (batch, channels, height / stride, width / stride).
    scores: float32 (batch, channels, height, width), the logits upsampled in the graph.
    labels: uint8 (batch, height, width); the input is then uint8 (batch, height, width, 3), already resized and in the
    image contract's colour order.

    Without a threshold there is one channel for each class. Labels are the argmax over the channels of the logits,
    upsampled by the rule and align_corners; in a tie the lowest index wins. With a threshold there are two classes and
    one channel: the label is 1 where the upsampled value is greater than the threshold, else 0, also for NaN. The
    threshold is in the units of the channel (0.5 behind a sigmoid, 0 for a logit) and is compared as a float32.
    """

    classes: ClassSpec
    interface: str
    stride: int
    align_corners: bool
    upsampling: str = "bilinear"
    threshold: Threshold = field(default=None, metadata=SINCE_2)

    def __post_init__(self) -> None:
        _require_choice("interface", self.interface, INTERFACES)
        _require_choice("upsampling rule", self.upsampling, UPSAMPLING_RULES)
        if self.stride not in (1, 2, 4, 8, 16, 32):
            raise SpecError(
                "the stride of the logits is out of range", got=self.stride, expected="1 to 32, a power of 2"
            )
        if self.threshold is None:
            return
        if not -MAX_LOGIT <= self.threshold <= MAX_LOGIT:  # this refuses NaN too
            raise SpecError("the threshold is out of range", got=self.threshold, expected="-1e30 to 1e30")
        if len(self.classes) != 2:
            raise SpecError(
                "a threshold needs exactly two classes",
                got=f"{len(self.classes)} classes",
                hint="leave out the threshold",
            )
        object.__setattr__(self, "threshold", float(self.threshold))  # JSON may hold it as an integer

    @property
    def channels(self) -> int:
        """The number of channels of logits and scores."""
        return len(self.classes) if self.threshold is None else 1

    @classmethod
    def from_json(cls, data: object) -> OutputSpec:
        """Return the spec that to_json described. Raises SpecError for other fields or values, or a newer version."""
        if isinstance(data, Mapping):
            known_version(cls.__name__, data)  # first, because a newer version may have other classes
        if not isinstance(data, Mapping) or "classes" not in data:
            raise SpecError("an output contract lacks its classes", got=type(data).__name__)
        return super().from_json({**data, "classes": ClassSpec.from_json(data["classes"])})


def tensor_shapes(image: ImageSpec, output: OutputSpec) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of the input and the output of a graph with those contracts, for one image."""
    height, width = image.height, image.width
    if output.interface == "labels":
        return (1, height, width, 3), (1, height, width)
    stride = output.stride if output.interface == "logits" else 1
    return (1, 3, height, width), (1, output.channels, height // stride, width // stride)


IMAGE_PROPERTY, OUTPUT_PROPERTY = "rtseg.image", "rtseg.output"


def contract_metadata(image: ImageSpec, output: OutputSpec) -> dict[str, str]:
    """Return both contracts as the two metadata properties that every exported graph carries."""
    return {
        IMAGE_PROPERTY: json.dumps(image.to_json(), sort_keys=True),
        OUTPUT_PROPERTY: json.dumps(output.to_json(), sort_keys=True),
    }


def _require_choice(kind: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SpecError(f"unknown {kind}", got=repr(value), expected=f"one of {', '.join(choices)}")
