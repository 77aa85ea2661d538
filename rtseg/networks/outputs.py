"""Find the logits among a network's outputs. Never just the first: DDRNet and PIDNet return an auxiliary head first.

a tensor             that tensor
several, one fits    that one: float32 with a channel for each class, at a stride of the image
several fit          the one named out, logits or main; else the user must choose
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional, Union

from rtseg.errors import NetworkError
from rtseg.specs import Resolution

STRIDES = (1, 2, 4, 8, 16, 32)
MAIN_NAMES = ("out", "logits", "main")
"""Names of the main head in torchvision, transformers and others."""

CHOICE = "--output NAME|INDEX (head= in Python)"
"""The user's option for this choice."""

LOUD = 100
"""In standard deviations of a normalised picture: with such inputs logits leave the range 0 to 1."""

Shape = tuple[int, ...]
Head = Optional[Union[str, int]]


def stride_of(shape: Shape, classes: int | None, resolution: Resolution) -> int | None:
    """Return the stride of logits of that shape for one image, None if logits cannot have that shape.

    A network of two classes may have one channel; classes None means any number.
    """
    if len(shape) != 4 or shape[0] != 1 or (classes not in (None, shape[1]) and (shape[1], classes) != (1, 2)):
        return None
    height, width = resolution.height, resolution.width
    fitting = [stride for stride in STRIDES if shape[2:] == (-(-height // stride), -(-width // stride))]
    return fitting[0] if fitting else None


def head_of(
    shapes: Mapping[str, Shape],
    classes: int | None,
    resolution: Resolution,
    head: Head,
    label: str,
    words: Mapping[str, str] | None = None,
) -> str:
    """Return the name of the output with the logits: the one that head selects, by name or index, or by the rule.

    words describe outputs that are not tensors of logits, whose shape is (). Raises NetworkError if there is none, if
    several could be meant, and if the selected one cannot be.
    """
    described = words or {}
    each = (
        f"{name or 'the output'} {shape}" if shape else described.get(name, f"{name} of an unknown shape")
        for name, shape in shapes.items()
    )
    listed = ", ".join(each) or "no tensor"
    expected = f"(1, {classes or 'CLASSES'}, {resolution.height}/s, {resolution.width}/s) with a stride s of 1 to 32"
    if head is not None:
        names = [name for place, name in enumerate(shapes) if str(head) in (name, str(place))][:1]
        names = [str(head)] if str(head) in shapes else names
        if not names:
            raise NetworkError(f"{label} has no output {head}", got=listed, hint=f"choose one of these with {CHOICE}")
        if stride_of(shapes[names[0]], classes, resolution) is None:
            raise NetworkError(
                f"output {head} of {label} does not have the shape of logits", got=listed, expected=expected
            )
        return names[0]
    fitting = [name for name, shape in shapes.items() if stride_of(shape, classes, resolution) is not None]
    if not fitting:
        raise NetworkError(
            f"no output of {label} has the shape of logits",
            got=listed,
            expected=expected,
            hint="export the network so that it ends in scores, or in ArgMax of them"
            if described
            else "use a network with that many output channels, or pass another number to --classes",
        )
    full = [name for name in fitting if shapes[name][1] == classes]
    named = [name for name in full or fitting if name in MAIN_NAMES]
    chosen = named if len(named) == 1 else full or fitting
    if len(chosen) > 1:
        raise NetworkError(
            f"{label} has several outputs that could be its logits",
            got=listed,
            expected=f"one, or one of them named {', '.join(MAIN_NAMES)}",
            hint=f"choose the network's own logits, not an auxiliary head's, with {CHOICE}",
        )
    return chosen[0]


def threshold_of_values(lowest: float, highest: float, label: str) -> float:
    """Return the threshold of a single channel, from its range on loud pictures: 0.5 for probabilities, 0 for logits.

    Raises NetworkError if it holds neither.
    """
    if lowest < 0 < highest:
        return 0.0
    if 0 <= lowest < highest <= 1:
        return 0.5
    raise NetworkError(
        f"the one channel of {label} holds neither logits nor probabilities",
        got=f"values from {lowest:g} to {highest:g}",
        expected="of both signs, or from 0 to 1",
        hint="pass --threshold with the value above which a pixel is of the class: 0 for logits, 0.5 for probabilities",
    )
