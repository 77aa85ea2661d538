"""A bound on the accuracy that a candidate may lose, and the verdict on a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rtseg.accuracy.comparison import Comparison
from rtseg.errors import AccuracyLossError, DatasetError, SpecError

ROUNDING = 1e-9
"""Points or per cent that float arithmetic may add to a figure exactly at the bound."""


@dataclass(frozen=True)
class Gate:
    """max_drop is in points of mIoU, min_agreement in per cent of all pixels; None sets no bound.

    Raises SpecError for a bound outside 0 to 100.
    """

    max_drop: float | None = None
    min_agreement: float | None = None

    def __post_init__(self) -> None:
        for name, bound in (("drop", self.max_drop), ("agreement", self.min_agreement)):
            if bound is not None and not 0 <= bound <= 100:  # this refuses NaN too, which would let everything pass
                raise SpecError(f"the bound of the {name} is out of range", got=bound, expected="0 to 100")

    def require_measurable(self, *, labelled: bool) -> None:
        """Raise DatasetError if the drop of mIoU has a bound but there are no labels to measure it with."""
        if self.max_drop is not None and not labelled:
            raise DatasetError(
                "without labels there is no mIoU whose drop could be measured",
                got=f"a largest drop of {self.max_drop:g} points",
                hint="use --min-agreement 99, the per cent of pixels that must agree",
            )

    def verdict(self, comparison: Comparison) -> Verdict:
        """Return whether the comparison keeps the bounds. Raises DatasetError as require_measurable does."""
        self.require_measurable(labelled=comparison.labelled)
        losers: tuple[tuple[str, float], ...] = ()
        failures, certain = [], None
        drop, interval = comparison.drop, comparison.drop_interval
        if self.max_drop is not None and drop is not None:
            allowed = self.max_drop + ROUNDING
            lost = [
                (entry.name, 0.0 - entry.difference) for entry in comparison.classes if entry.difference is not None
            ]
            losers = tuple(sorted((pair for pair in lost if pair[1] > allowed), key=lambda pair: -pair[1]))
            certain = interval is not None and (interval.high <= allowed or interval.low > allowed)
            if drop > allowed:
                failures.append(_too_low(comparison, self.max_drop, losers))
        if self.min_agreement is not None and comparison.agreement.share * 100 < self.min_agreement - ROUNDING:
            failures.append(
                "too few pixels agree with the reference; "
                f"got {comparison.agreement.share * 100:.2f} %; expected at least {self.min_agreement:g} %"
            )
        return Verdict(self, tuple(failures), losers, certain)


@dataclass(frozen=True)
class Verdict:
    """failures names the bounds that were not kept; losers are the classes that lost more than max_drop.

    losers holds each loss in points, worst first; it can be non-empty even if the mean keeps the bound. certain
    is whether the whole interval of the drop lies on one side of max_drop; None if the drop has no bound.
    """

    gate: Gate
    failures: tuple[str, ...]
    losers: tuple[tuple[str, float], ...]
    certain: bool | None

    @property
    def passed(self) -> bool:
        """Whether the measured values keep all bounds, however uncertain they are."""
        return not self.failures

    def require(self) -> None:
        """Raise AccuracyLossError unless passed: what was measured, what is allowed, which classes lost more."""
        if self.failures:
            raise AccuracyLossError(". Also, ".join(self.failures))

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with losses in points by class."""
        return {
            "max_drop_points": self.gate.max_drop,
            "min_agreement_percent": self.gate.min_agreement,
            "passed": self.passed,
            "certain": self.certain,
            "classes_that_lost_more": dict(self.losers),
            "failures": list(self.failures),
        }


def _too_low(comparison: Comparison, max_drop: float, losers: tuple[tuple[str, float], ...]) -> str:
    mious = [result.miou for result in (comparison.reference, comparison.candidate) if result is not None]
    figures = " to ".join(f"{miou * 100:.2f} %" for miou in mious if miou is not None)
    if comparison.drop_interval is not None:
        figures += f", 95 % interval of the drop {' to '.join(f'{end:.2f}' for end in comparison.drop_interval)}"
    classes = ", ".join(f"{name} {loss:.2f}" for name, loss in losers) or "no single class"
    return (
        f"the mIoU dropped too far; got {comparison.drop:.2f} points ({figures}); expected at most {max_drop:g}. "
        f"Classes that lost more: {classes}"
    )
