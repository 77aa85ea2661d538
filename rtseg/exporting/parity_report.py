"""The result of comparing a file with its original: the differences, and whether they pass."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from rtseg.errors import ParityError

MAX_RELATIVE_DIFFERENCE = 1e-3
"""As a fraction of the largest logit. Folding BatchNorm and another order of summation give some 1e-6 on the networks
here; the rest is a margin for deeper ones."""

MAX_OUTLIERS = 1e-3
"""Fraction of the logits that may differ by more, if rounding decided one or two choices."""

MIN_LABEL_AGREEMENT = 0.999
"""Pixels with two best classes that are equal within rounding may get either."""

MAX_RATIO = 2
"""Maximum ratio of the file's distance from FP64 to that of the network's runs in FP32."""


@dataclass(frozen=True)
class Distance:
    """The distance of an output from the one in FP64. The differences are relative to the largest logit.

    For several outputs together, each logit counts with its largest difference, and each label that differs in any of
    them. relative_difference is the largest one; it decides nothing, because a single choice can make it arbitrarily
    large. rms_difference is the root mean square, outliers the fraction of logits beyond MAX_RELATIVE_DIFFERENCE. All
    three are 0 if labels are compared.
    """

    relative_difference: float
    rms_difference: float
    outliers: float
    label_disagreement: float

    def exceeds(self, other: Distance, times: float) -> bool:
        """Return whether any measure exceeds `times` the other's, or its floor if that is larger."""
        within = (  # false for NaN
            self.rms_difference <= max(MAX_RELATIVE_DIFFERENCE, times * other.rms_difference)
            and self.outliers <= max(MAX_OUTLIERS, times * other.outliers)
            and self.label_disagreement <= max(1 - MIN_LABEL_AGREEMENT, times * other.label_disagreement)
        )
        return not within

    def at_least_the_floors(self) -> Distance:
        """Return the distance with each measure raised to at least its floor."""
        return Distance(
            self.relative_difference,
            max(MAX_RELATIVE_DIFFERENCE, self.rms_difference),
            max(MAX_OUTLIERS, self.outliers),
            max(1 - MIN_LABEL_AGREEMENT, self.label_disagreement),
        )

    def __str__(self) -> str:
        return (
            f"{self.outliers:.3%} of the logits above {MAX_RELATIVE_DIFFERENCE:.0e}, "
            f"{self.rms_difference:.1e} root mean square and {self.label_disagreement:.4%} other labels"
        )


@dataclass(frozen=True)
class Fp64Parity:
    """The distances from FP64 on one input: of the candidate, the reference, and all runs in FP32 together.

    The reference is the first of these runs. They end as soon as they show the candidate to be close enough, or after
    the first if the candidate is too far for all of them.
    """

    candidate: Distance
    reference: Distance
    fp32: Distance
    runs: int

    @property
    def agrees(self) -> bool:
        """Whether the candidate's distance from FP64 is at most MAX_RATIO times that of the runs in FP32."""
        return not self.candidate.exceeds(self.fp32, MAX_RATIO)


@dataclass(frozen=True)
class NeighbourParity:
    """The candidate's distance from the reference, and the reference's distance from itself on neighbouring inputs."""

    candidate: Distance
    reference: Distance

    @property
    def agrees(self) -> bool:
        """Whether the candidate's distance is at most MAX_RATIO times that of the reference's own results."""
        return not self.candidate.exceeds(self.reference, MAX_RATIO)


@dataclass(frozen=True)
class InputParity:
    """The differences of two runners on one input.

    relative_difference is the largest difference divided by the largest logit; outliers is the fraction of logits
    beyond MAX_RELATIVE_DIFFERENCE. Both are 0 if labels are compared. fp64 is None if FP64 was not run; fp64_failure
    says why it could not run although it was needed. neighbours is None if they were not run.
    """

    input: str
    max_difference: float
    relative_difference: float
    outliers: float
    label_agreement: float
    fp64: Fp64Parity | None = None
    fp64_failure: str = ""
    neighbours: NeighbourParity | None = None

    @property
    def is_finite(self) -> bool:
        """Whether every value of both is finite."""
        return math.isfinite(self.relative_difference)

    @property
    def passed(self) -> str:
        """The check that the input passes: "floors", "fp64", "neighbours", or an empty string if none."""
        if self.is_finite and self.outliers <= MAX_OUTLIERS and self.label_agreement >= MIN_LABEL_AGREEMENT:
            return "floors"
        if self.neighbours is not None and self.neighbours.agrees:
            return "neighbours"
        return "fp64" if self.fp64 is not None and self.fp64.agrees else ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values, and the check that the input passed."""
        values = asdict(self)
        del values["fp64_failure"]  # an input with a failure did not pass and is in no manifest
        return {**values, "passed": self.passed}


@dataclass(frozen=True)
class ParityReport:
    """The comparison of a file with the network it came from, input by input."""

    reference: str
    candidate: str
    inputs: tuple[InputParity, ...]

    def require_agreement(self, label: str) -> None:
        """Raise ParityError, with the first input that does not pass, unless rounding explains all differences."""
        for entry in self.inputs:
            if entry.passed:
                continue
            got = (
                f"differences of up to {entry.relative_difference:.2e} of the largest logit, "
                f"{entry.outliers:.2%} of them above {MAX_RELATIVE_DIFFERENCE:.0e}, "
                f"{entry.label_agreement:.4%} equal labels"
            )
            expected = f"at most {MAX_OUTLIERS:.1%} and at least {MIN_LABEL_AGREEMENT:.1%}"
            if entry.fp64_failure:
                got += f"; FP64 cannot decide whether rounding explains it: {entry.fp64_failure}"
            elif entry.fp64 is not None:
                got += f"; from FP64 {entry.fp64.candidate}"
                expected += (
                    f", or from FP64 at most {MAX_RATIO} times what {self.reference} has in FP32: {entry.fp64.fp32}"
                )
            raise ParityError(f"{label} disagrees with {self.reference} on {entry.input}", got=got, expected=expected)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return {
            "reference": self.reference,
            "candidate": self.candidate,
            "inputs": [entry.to_json() for entry in self.inputs],
        }
