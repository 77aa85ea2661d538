"""The background and the 20 classes of PASCAL VOC, with the colours of its development kit."""

from __future__ import annotations

from rtseg.specs import ClassSpec


def voc_colour(index: int) -> tuple[int, int, int]:
    """Return the colour of that index in VOC's development kit: the index's bits, spread over the channels."""
    red, green, blue = (sum((index >> 3 * k + channel & 1) << 7 - k for k in range(3)) for channel in range(3))
    return red, green, blue


_NAMES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)

VOC_CLASSES = ClassSpec(dataset="voc", names=_NAMES, palette=tuple(voc_colour(i) for i in range(len(_NAMES))))
