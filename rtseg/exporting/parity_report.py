"""What a comparison of a file with its original found: how far apart they are, and whether that passes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from rtseg.errors import ParityError

MAX_RELATIVE_DIFFERENCE = 1e-3
"""Of the largest logit. Folding BatchNorm and another order of summation give some 1e-6 on the networks here;
the rest is room for deeper ones."""

MAX_OUTLIERS = 1e-3
"""Share of the logits that may differ by more, where rounding decided one or two choices."""

MIN_LABEL_AGREEMENT = 0.999
"""Pixels whose two best classes tie to within rounding may go either way."""

MAX_RATIO = 2
"""How many times as far from FP64 as the network's runs in FP32 the file may be."""


@dataclass(frozen=True)
class Distance:
    """How far an output is from the one in FP64. The differences are over the largest logit.

    Of several outputs together each logit counts where it is furthest, and each label that is another in any.
    relative_difference is the largest one and decides nothing, as a single choice is enough for any; rms_difference is
    the root of their mean square, outliers the share of the logits beyond MAX_RELATIVE_DIFFERENCE. All three are 0
    where labels are compared.
    """

    relative_difference: float
    rms_difference: float
    outliers: float
    label_disagreement: float

    def exceeds(self, other: Distance, times: float) -> bool:
        """Return whether any measure is more than so many times the other's, or than its floor where that is more."""
        within = (  # false for NaN
            self.rms_difference <= max(MAX_RELATIVE_DIFFERENCE, times * other.rms_difference)
            and self.outliers <= max(MAX_OUTLIERS, times * other.outliers)
            and self.label_disagreement <= max(1 - MIN_LABEL_AGREEMENT, times * other.label_disagreement)
        )
        return not within

    def at_least_the_floors(self) -> Distance:
        """Return it with each measure raised to its floor."""
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
    """How far both are from FP64 on one input: the candidate, the reference, and all the runs in FP32 together.

    The reference's is the first of these runs; they end with the one that shows the candidate to be close enough, and
    with the first where the candidate is so far that all of them could not.
    """

    candidate: Distance
    reference: Distance
    fp32: Distance
    runs: int

    @property
    def agrees(self) -> bool:
        """Whether the candidate is no further from FP64 than MAX_RATIO times the runs in FP32."""
        return not self.candidate.exceeds(self.fp32, MAX_RATIO)


@dataclass(frozen=True)
class NeighbourParity:
    """How far the candidate is from the reference, and how far the reference is from itself on neighbouring inputs."""

    candidate: Distance
    reference: Distance

    @property
    def agrees(self) -> bool:
        """Whether the candidate is no further away than MAX_RATIO times the reference's own answers."""
        return not self.candidate.exceeds(self.reference, MAX_RATIO)


@dataclass(frozen=True)
class InputParity:
    """How far two runners differ on one input.

    relative_difference is the largest one over the largest logit; outliers is the share of the logits beyond
    MAX_RELATIVE_DIFFERENCE. Both are 0 where labels are compared. fp64 is None where FP64 was not asked, and
    fp64_failure says why it could not be where it should have been. neighbours is None where they were not asked.
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
        """Whether every value of both is a number."""
        return math.isfinite(self.relative_difference)

    @property
    def passed(self) -> str:
        """By what the input passes: "floors", "fp64", "neighbours" or, where it does not, an empty string."""
        if self.is_finite and self.outliers <= MAX_OUTLIERS and self.label_agreement >= MIN_LABEL_AGREEMENT:
            return "floors"
        if self.neighbours is not None and self.neighbours.agrees:
            return "neighbours"
        return "fp64" if self.fp64 is not None and self.fp64.agrees else ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values, and by what the input passed."""
        values = asdict(self)
        del values["fp64_failure"]  # an input that has one did not pass, and is in no manifest
        return {**values, "passed": self.passed}


@dataclass(frozen=True)
class ParityReport:
    """The comparison of a file with the network it came from, input by input."""

    reference: str
    candidate: str
    inputs: tuple[InputParity, ...]

    def require_agreement(self, label: str) -> None:
        """Raise ParityError, with the first input that does not pass, unless all differences are those of rounding."""
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
                got += f"; whether it is the rounding FP64 cannot tell, as {entry.fp64_failure}"
            elif entry.fp64 is not None:
                got += f"; from FP64 {entry.fp64.candidate}"
                expected += (
                    f", or from FP64 at most {MAX_RATIO} times what {self.reference} has in FP32: {entry.fp64.fp32}"
                )
            raise ParityError(f"{label} disagrees with {self.reference} on {entry.input}", got=got, expected=expected)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "reference": self.reference,
            "candidate": self.candidate,
            "inputs": [entry.to_json() for entry in self.inputs],
        }
