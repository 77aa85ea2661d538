"""The proof that an exported file computes what the network computes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import ParityError
from rtseg.images.preprocess import resized_image, tensor_from_image
from rtseg.runners.protocol import Array, Runner
from rtseg.specs import ImageSpec, OutputSpec
from rtseg.tail import labels_from_logits

MAX_RELATIVE_DIFFERENCE = 1e-3
"""Of the largest logit. Folding BatchNorm and another order of summation give some 1e-6 on the networks here;
the rest is room for deeper ones."""

MAX_OUTLIERS = 1e-3
"""Share of the logits that may differ by more. Where a network chooses, as ENet does which value of a window it
unpools, rounding decides between values that tie, and a few logits around become others."""

MIN_LABEL_AGREEMENT = 0.999
"""Pixels whose two best classes tie to within rounding may go either way."""


@dataclass(frozen=True)
class InputParity:
    """How far two runners differ on one input.

    relative_difference is the largest one over the largest logit; outliers is the share of the logits beyond
    MAX_RELATIVE_DIFFERENCE. Both are 0 where labels are compared.
    """

    input: str
    max_difference: float
    relative_difference: float
    outliers: float
    label_agreement: float


@dataclass(frozen=True)
class ParityReport:
    """The comparison of a file with the network it came from, input by input."""

    reference: str
    candidate: str
    inputs: tuple[InputParity, ...]

    def require_agreement(self, label: str) -> None:
        """Raise ParityError, with the worst input, unless all differences are those of rounding."""
        for entry in self.inputs:
            finite = math.isfinite(entry.relative_difference)
            if not finite or entry.outliers > MAX_OUTLIERS or entry.label_agreement < MIN_LABEL_AGREEMENT:
                raise ParityError(
                    f"{label} disagrees with {self.reference} on {entry.input}",
                    got=f"differences of up to {entry.relative_difference:.2e} of the largest logit, "
                    f"{entry.outliers:.2%} of them above {MAX_RELATIVE_DIFFERENCE:.0e}, "
                    f"{entry.label_agreement:.4%} equal labels",
                    expected=f"at most {MAX_OUTLIERS:.1%} and at least {MIN_LABEL_AGREEMENT:.1%}",
                )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def compare(
    reference: Runner,
    candidate: Runner,
    image: ImageSpec,
    output: OutputSpec,
    images: Sequence[NDArray[np.uint8]],
    *,
    seed: int = 0,
) -> ParityReport:
    """Run both on one random input and on each picture, and return how far they differ."""
    random = np.random.default_rng(seed)
    shape = reference.input.shape
    if reference.input.dtype == "uint8":
        cases: list[tuple[str, Array]] = [("random pixels", random.integers(0, 256, shape, np.uint8))]
        cases += [(f"picture {i + 1}", resized_image(picture, image)[None]) for i, picture in enumerate(images)]
    else:
        cases = [("random input", random.standard_normal(shape, np.float32))]
        cases += [(f"picture {i + 1}", tensor_from_image(picture, image)[None]) for i, picture in enumerate(images)]
    return ParityReport(
        reference.backend,
        candidate.backend,
        tuple(_compared(name, reference.infer(array), candidate.infer(array), image, output) for name, array in cases),
    )


def _compared(name: str, expected: Array, got: Array, image: ImageSpec, output: OutputSpec) -> InputParity:
    if expected.shape != got.shape:
        raise ParityError("the shapes of the outputs differ", got=got.shape, expected=expected.shape)
    if output.interface == "labels":
        return InputParity(name, 0.0, 0.0, 0.0, float((expected == got).mean()))
    differences = np.abs(expected - got)
    difference = float(differences.max())
    largest = float(np.abs(expected).max())
    close = differences <= MAX_RELATIVE_DIFFERENCE * largest  # false for NaN
    labels = [
        labels_from_logits(
            np.ascontiguousarray(result[0]),
            height=image.height,
            width=image.width,
            align_corners=output.align_corners,
        )
        for result in (expected, got)
    ]
    return InputParity(
        name,
        difference,
        difference / largest if largest else difference,
        float((~close).mean()),
        float((labels[0] == labels[1]).mean()),
    )
