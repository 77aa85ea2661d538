"""The cases of the two ends: an image becomes the network's input, a network's result becomes labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rtseg.frame.host_ends import HostEnds
from rtseg.specs import ImageSpec, OutputSpec, tensor_shapes
from tests.embedding.golden_format import (
    PIXEL_BYTES,
    Picture,
    Writer,
    drawn_bytes,
    image_fields,
    little_endian,
    numbered_classes,
    output_fields,
    rows_with_gaps,
)

Logits = NDArray[np.float32]

SIZES = ((1, 1), (1, 7), (5, 5), (3, 200), (16, 24), (37, 53), (61, 29), (90, 120), (5, 48), (7, 48), (32, 12))
"""Of images. At 16x24 a letterbox halves 5x48 to 2.5 rows and 7x48 to 3.5, and leaves 3x200 less than one."""

PLAIN = ImageSpec(16, 24, "RGB", 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
PLAIN_NORMALIZATION = {"scale": 1.0, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
IMAGENET = {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
NORMALIZATIONS = {
    "imagenet": IMAGENET,
    "bytes": PLAIN_NORMALIZATION,
    "unit": {**PLAIN_NORMALIZATION, "scale": 1 / 255},
    "centred": {"scale": 1 / 255, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
    "caffe": {"scale": 1.0, "mean": (103.939, 116.779, 123.68), "std": (1.0, 1.0, 1.0)},
    "pixels": {"scale": 1.0, "mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
}
FITS = {"stretch": {}, "letterbox": {"fit": "letterbox"}}


def picture(form: str, height: int, width: int, layout: str = "tight") -> Picture:
    """Return a random picture of a format: tight, pitched, upturned (bottom up), odd (both), or a region."""
    pixel = PIXEL_BYTES[form]
    row = pixel * width
    pitch = {"tight": row, "pitched": row + 7, "upturned": row, "region": row + 5 * pixel, "odd": row + 11}[layout]
    rows = height + 3 if layout == "region" else height
    offset = 2 * pitch + 3 * pixel if layout == "region" else 0
    if layout in ("upturned", "odd"):
        offset, pitch = (height - 1) * pitch, -pitch
    buffer = drawn_bytes(rows * abs(pitch), seed=height * 1000 + width + 7 * pixel).tobytes()
    return Picture(form, height, width, offset, pitch, buffer)


def add_input(writer: Writer, name: str, shown: Picture, spec: ImageSpec, interface: str = "logits") -> None:
    ends = HostEnds(spec, OutputSpec(numbered_classes(2), interface, 1, False), threads=1)
    writer.case(
        name,
        "input",
        interface=interface,
        **image_fields(spec),
        **shown.fields,
        image=writer.pack("image", shown.buffer),
        input=writer.pack("input", little_endian(ends.graph_input(shown.rgb))),
    )


def add_inputs(writer: Writer) -> None:
    for height, width in SIZES:
        shown = picture("RGB", height, width)
        for fit, fitted in FITS.items():
            spec = ImageSpec(16, 24, **IMAGENET, **fitted)
            add_input(writer, f"input-{fit}-{height}x{width}", shown, spec)
            add_input(writer, f"pixels-{fit}-{height}x{width}", shown, replace(PLAIN, **fitted), "labels")
    for name, normalization in NORMALIZATIONS.items():
        for order in ("RGB", "BGR"):
            spec = ImageSpec(16, 16, order, **normalization)
            add_input(writer, f"input-{name}-{order.lower()}", picture("RGB", 37, 53), spec)
            letterbox = replace(spec, fit="letterbox", padding=7)
            add_input(writer, f"input-{name}-{order.lower()}-letterbox", picture("BGR", 61, 29), letterbox)
    for padding in (0, 114, 255):
        letterbox = ImageSpec(32, 48, **IMAGENET, fit="letterbox", padding=padding)
        add_input(writer, f"input-padding-{padding}", picture("RGB", 61, 29), letterbox)
    for form in PIXEL_BYTES:
        for layout in ("tight", "pitched", "upturned", "region", "odd"):
            shown = picture(form, 19, 23, layout)
            add_input(writer, f"input-{form.lower()}-{layout}", shown, ImageSpec(16, 16, "BGR", **IMAGENET))
        shown = picture(form, 16, 24, "region")
        add_input(writer, f"input-{form.lower()}-same-size", shown, replace(PLAIN, scale=1 / 255))
        add_input(writer, f"pixels-{form.lower()}-same-size-bgr", shown, replace(PLAIN, colour_order="BGR"), "labels")


def drawn_logits(channels: int, height: int, width: int, seed: int) -> Logits:
    """Return logits from -8 to 8 in steps that float32 holds."""
    count = channels * height * width
    high, low = (drawn_bytes(count, seed + more).astype(np.float32) for more in (0, 1))
    return ((high * 256 + low - 32768) / 4096).reshape(channels, height, width)


def add_labels(
    writer: Writer,
    name: str,
    output: OutputSpec,
    result: NDArray[np.generic],
    size: tuple[int, int],
    *,
    canvas: tuple[int, int],
    fit: str = "stretch",
    gap: int = 0,
) -> None:
    """Add the case of a result (channels, h, w), or (h, w) of a graph that gives labels, and an image of that size."""
    image = ImageSpec(*canvas, **PLAIN_NORMALIZATION, fit=fit)
    assert (1, *result.shape) == tensor_shapes(image, output)[1]
    (height, width), row_bytes = size, size[1] + gap
    labels = HostEnds(image, output, threads=1).labels(result[None], height=height, width=width)
    writer.case(
        name,
        "labels",
        **output_fields(output),
        input_height=canvas[0],
        input_width=canvas[1],
        fit=fit,
        result=writer.pack("result", little_endian(result)),
        result_channels=result.shape[0] if result.ndim == 3 else 1,
        result_height=result.shape[-2],
        result_width=result.shape[-1],
        image_height=height,
        image_width=width,
        labels=writer.pack("labels", rows_with_gaps(labels, row_bytes)),
        labels_row_bytes=row_bytes,
    )


def add_argmaxes(writer: Writer) -> None:
    canvases = {1: (16, 24), 2: (32, 48), 4: (32, 48), 8: (32, 48), 16: (64, 96), 32: (64, 96)}
    for fit in FITS:
        for aligned in (False, True):
            corners = "aligned" if aligned else "half-pixel"
            for stride, canvas in canvases.items():
                classes = 2 if stride == 1 else 11
                logits = drawn_logits(classes, canvas[0] // stride, canvas[1] // stride, seed=stride)
                output = OutputSpec(numbered_classes(classes), "logits", stride, aligned)
                common = {"canvas": canvas, "fit": fit}
                add_labels(writer, f"labels-stride-{stride}-{fit}-{corners}", output, logits, (37, 53), **common)
            output = OutputSpec(numbered_classes(2), "scores", 4, aligned)
            scores = drawn_logits(2, 16, 24, seed=5)
            common = {"canvas": (16, 24), "fit": fit, "gap": 3}
            add_labels(writer, f"labels-scores-{fit}-{corners}", output, scores, (61, 29), **common)
        for height, width in SIZES:
            output, logits = OutputSpec(numbered_classes(19), "logits", 8, False), drawn_logits(19, 4, 6, seed=19)
            common = {"canvas": (32, 48), "fit": fit, "gap": 11}
            add_labels(writer, f"labels-{fit}-{height}x{width}", output, logits, (height, width), **common)
    for classes in (2, 11, 19, 256):
        output, logits = OutputSpec(numbered_classes(classes), "logits", 8, False), drawn_logits(classes, 2, 3, 77)
        common = {"canvas": (16, 24)}
        add_labels(writer, f"labels-{classes}-classes", output, logits, (37, 53), **common)


def special_logits() -> Iterator[tuple[str, Logits]]:
    """Yield logits (3, 4, 6) with values that are no ordinary numbers, or equal ones."""
    for name, values in (
        ("nan", (np.nan,)),
        ("infinite", (np.inf, -np.inf)),
        ("huge", (3e38, -3e38, 2e30, -2e30)),
        ("mixed", (np.nan, np.inf, -np.inf, 3e38, -3e38)),
    ):
        logits = drawn_logits(3, 4, 6, seed=len(name)).reshape(-1)
        places = drawn_bytes(logits.size, seed=3) % 5 == 0
        logits[places] = np.resize(np.array(values, np.float32), int(places.sum()))
        yield name, logits.reshape(3, 4, 6)
    yield "all-nan", np.full((3, 4, 6), np.nan, np.float32)
    yield "minus-zero", np.where(drawn_logits(3, 4, 6, 9) > 0, np.float32(0), np.float32(-0.0))
    yield "equal", np.full((3, 4, 6), 0.1, np.float32)
    yield "ties", np.round(drawn_logits(3, 4, 6, 8) / 4)
    subnormal = np.round(drawn_logits(3, 4, 6, 6)) * np.float32(1e-44)
    yield "subnormal", subnormal.astype(np.float32)


def add_special_values(writer: Writer) -> None:
    for name, logits in special_logits():
        for fit, aligned in (("stretch", False), ("letterbox", True)):
            output = OutputSpec(numbered_classes(3), "logits", 4, aligned)
            common = {"canvas": (16, 24), "fit": fit}
            add_labels(writer, f"labels-{name}-{fit}", output, logits, (29, 41), **common)
        output = OutputSpec(numbered_classes(3), "logits", 4, False)
        common = {"canvas": (16, 24)}
        add_labels(writer, f"labels-{name}-same-size", output, logits, (4, 6), **common)
        masked = OutputSpec(numbered_classes(2), "logits", 4, False, threshold=0.1)
        add_labels(writer, f"mask-{name}", masked, logits[:1], (29, 41), **common)


def add_masks(writer: Writer) -> None:
    channel = drawn_logits(1, 4, 6, seed=11)
    steps = np.round(channel) / 2  # several are the thresholds themselves
    for number, threshold in enumerate((0.5, 0.0, -1.25, 0.1, 1e30, -1e30)):
        for fit in FITS:
            for aligned in (False, True):
                output = OutputSpec(numbered_classes(2), "logits", 4, aligned, threshold=threshold)
                name = f"mask-{number}-{fit}-{'aligned' if aligned else 'half-pixel'}"
                result = steps if threshold in (0.5, 0.0) else channel
                common = {"canvas": (16, 24), "fit": fit, "gap": 2 * number}
                add_labels(writer, name, output, result, (37, 53), **common)


def add_nearest(writer: Writer) -> None:
    labels = (drawn_bytes(16 * 24, seed=4) % 11).reshape(16, 24)
    for fit in FITS:
        for height, width in SIZES:
            output = OutputSpec(numbered_classes(11), "labels", 4, False)
            common = {"canvas": (16, 24), "fit": fit, "gap": 1}
            add_labels(writer, f"nearest-{fit}-{height}x{width}", output, labels, (height, width), **common)


def add_ends(writer: Writer) -> None:
    """Add every case of the two ends."""
    add_inputs(writer)
    add_argmaxes(writer)
    add_special_values(writer)
    add_masks(writer)
    add_nearest(writer)
