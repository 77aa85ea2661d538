"""The proof that an exported file computes what the network computes.

An input passes in one of two ways. Mostly file and network are so close that nothing more need be asked: within the
floors below. Where they are not, a run of the network in FP64 decides whether that is the rounding: the file passes
where it is no further from FP64 than twice what the network's own runs in FP32 are on that same input. A network that
chooses, as ENet does which value of a window it unpools, needs that: where two values differ by less than rounding,
PyTorch in FP32 chooses otherwise than in FP64, and so does the file, but elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import ParityError, RunnerError
from rtseg.frame.host_ends import HostEnds
from rtseg.frame.protocol import Array, Runner
from rtseg.runners.probes import LARGE, probe_inputs
from rtseg.specs import ImageSpec, OutputSpec

MAX_RELATIVE_DIFFERENCE = 1e-3
"""Of the largest logit. Folding BatchNorm and another order of summation give some 1e-6 on the networks here;
the rest is room for deeper ones."""

MAX_OUTLIERS = 1e-3
"""Share of the logits that may differ by more, where rounding decided one or two choices."""

MIN_LABEL_AGREEMENT = 0.999
"""Pixels whose two best classes tie to within rounding may go either way."""

MAX_RATIO = 2
"""How many times as far from FP64 as the network's runs in FP32 the file may be."""

FP32_RUNS = 17
"""How many runs in FP32 say how far it is from FP64, at most: that of the network as it is, then others with its
weights moved by rounding, until they suffice.

One alone may be lucky. The choices that rounding decides are few on an input of ENet, and each moves up to 2e-3 of the
logits beyond MAX_RELATIVE_DIFFERENCE: a run is off by 1e-7 where none of them fell otherwise, and the next one, or the
file, by 3e-3 of its logits. Of 248 inputs, with nothing wrong with the file, the first run alone refused 29, nine runs
together 2 and these none.
"""


NEIGHBOURS = 4
"""Of an input, on which a reference without FP64 is run."""

NEAR_OVERFLOW = 1e37
"""FP32 ends at 3.4e38: beyond this another order of summation may decide which side is infinite."""


class Fp64Reference(Protocol):
    """A network that runs in FP64 too, and in FP32 with other roundings. rtseg.runners.torch.TorchRunner is one."""

    def infer_fp64(self, array: Array) -> Array:
        """Return the output in FP64. Raises RunnerError where there is none."""

    def infer_moved(self, array: Array, seed: int) -> Array:
        """Return the output in FP32 with every weight moved to a neighbouring number, as the seed says."""


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


def parity_of(
    reference: Runner,
    candidate: Runner,
    image: ImageSpec,
    output: OutputSpec,
    images: Sequence[NDArray[np.uint8]],
    *,
    fp64: Fp64Reference | None = None,
    seed: int = 0,
) -> ParityReport:
    """Run both on random inputs, one of them large and of both signs, and on each picture; return how far they differ.

    Each side gets an input of its own: a network may write into the one it is given. Numbers that are not finite on
    the large input are no difference where both sides have them.

    fp64, the reference once more, is asked where an input is beyond the floors. Without it the large input alone has
    a second chance: what the reference gives where each value of the input is moved to a neighbouring number. Raises
    ParityError for outputs of different shapes, and RunnerError.
    """
    ends = HostEnds(image, output)
    cases = dict(probe_inputs(reference.input, seed=seed))
    cases |= {f"picture {i + 1}": ends.graph_input(picture) for i, picture in enumerate(images)}
    sides = _Sides(reference, candidate, fp64, ends)
    return ParityReport(
        reference.backend, candidate.backend, tuple(_compared(name, array, sides) for name, array in cases.items())
    )


@dataclass(frozen=True)
class _Sides:
    """What is compared, and how outputs become labels."""

    reference: Runner
    candidate: Runner
    fp64: Fp64Reference | None
    ends: HostEnds


def _compared(name: str, array: Array, sides: _Sides) -> InputParity:
    reference, fp64, ends = sides.reference, sides.fp64, sides.ends
    raw, found = reference.infer(array.copy()), sides.candidate.infer(array.copy())
    if raw.shape != found.shape:
        raise ParityError("the shapes of the outputs differ", got=found.shape, expected=raw.shape)
    counted = _counted(raw, found) if name == LARGE else None
    expected, got = _with_zeros(raw, counted), _with_zeros(found, counted)
    agreement = float((_labels(ends, expected) == _labels(ends, got)).mean())
    if ends.gives_labels:
        entry = InputParity(name, 0.0, 0.0, 0.0, agreement)
    else:
        differences, largest = _differences(expected, got), float(np.abs(expected).max())
        difference = float(differences.max())
        entry = InputParity(name, difference, difference / (largest or 1.0), _outliers(differences, largest), agreement)
    if entry.passed or not entry.is_finite:
        return entry
    if fp64 is None:
        return replace(entry, neighbours=_neighbours(array, expected, got, counted, sides)) if name == LARGE else entry
    if not np.array_equal(raw, reference.infer(array.copy()), equal_nan=True):  # else its whims would count
        return replace(entry, fp64_failure=f"{reference.backend} gives something else each time")
    try:
        exact = _with_zeros(fp64.infer_fp64(array.copy()), counted)
    except RunnerError as error:
        return replace(entry, fp64_failure=str(error))
    moved = (_with_zeros(fp64.infer_moved(array.copy(), run), counted) for run in range(1, FP32_RUNS))
    return replace(entry, fp64=_compared_with_fp64(_Exact(exact, ends), got, expected, moved))


def _counted(expected: Array, got: Array) -> Array | None:
    """Return which values count: not those that overflowed on both sides, or on one and nearly on the other.

    None where all do, and where one side alone is not finite.
    """
    finite, found = np.isfinite(expected), np.isfinite(got)
    if finite.all() and found.all():
        return None
    with np.errstate(invalid="ignore"):
        near = (np.abs(expected) > NEAR_OVERFLOW) & (np.abs(got) > NEAR_OVERFLOW)
    return finite & found if ((finite == found) | near).all() else None


def _with_zeros(values: Array, counted: Array | None) -> Array:
    """Return the values with zeros in place of those that do not count."""
    return values if counted is None else np.where(counted, values, values.dtype.type(0))


def _neighbours(array: Array, expected: Array, got: Array, counted: Array | None, sides: _Sides) -> NeighbourParity:
    """Compare the candidate with what the reference itself gives for the neighbours of an input."""
    exact = _Exact(expected, sides.ends)
    values, labels = np.zeros(1), np.zeros((), bool)
    random = np.random.default_rng(0)
    for _ in range(NEIGHBOURS):
        towards = np.where(random.random(array.shape) < 0.5, -np.inf, np.inf).astype(array.dtype)
        result = _with_zeros(sides.reference.infer(np.nextafter(array, towards)), counted)
        further, other = exact.differences(result)
        if np.isfinite(further).all():  # one without bounds would excuse everything
            values, labels = np.maximum(values, further), labels | other
    return NeighbourParity(exact.distance(*exact.differences(got)), exact.distance(values, labels))


def _compared_with_fp64(exact: _Exact, got: Array, expected: Array, moved: Iterator[Array]) -> Fp64Parity:
    candidate = exact.distance(*exact.differences(got))
    values, labels = exact.differences(expected)
    reference = exact.distance(values, labels)
    found = Fp64Parity(candidate, reference, reference, 1)
    # Not even if each run were as far from FP64 as the first, or as the floors, and each in another place.
    if candidate.exceeds(reference.at_least_the_floors(), MAX_RATIO * FP32_RUNS):
        return found
    while not found.agrees and (result := next(moved, None)) is not None:
        further, other = exact.differences(result)
        if np.isfinite(further).all():  # one without bounds would excuse everything
            values, labels = np.maximum(values, further), labels | other
        found = replace(found, fp32=exact.distance(values, labels), runs=found.runs + 1)
    return found


class _Exact:
    """An output in FP64, and how far others are from it."""

    def __init__(self, output: Array, ends: HostEnds) -> None:
        self._output, self._ends = output, ends
        self._labels = _labels(ends, output)
        self._only_labels = ends.gives_labels
        self._largest = 1.0 if self._only_labels else float(np.abs(output).max())

    def differences(self, result: Array) -> tuple[Array, Array]:
        """Return how far each logit is from its value in FP64, and which labels are others."""
        values = np.zeros(1) if self._only_labels else _differences(self._output, result)
        return values, self._labels != _labels(self._ends, result)

    def distance(self, values: Array, labels: Array) -> Distance:
        """Return what these differences come to."""
        scale = self._largest or 1.0
        rms = math.sqrt(float(np.vdot(values, values)) / values.size)
        outliers = _outliers(values, self._largest)
        return Distance(float(values.max()) / scale, rms / scale, outliers, float(labels.mean()))


def _labels(ends: HostEnds, result: Array) -> Array:
    """Return the labels that an output stands for, at the size that the graph sees."""
    return ends.labels(result, height=ends.image.height, width=ends.image.width)


def _differences(expected: Array, got: Array) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):  # what is no finite number is told in words
        differences: Array = expected - got
    np.abs(differences, out=differences)
    return differences


def _outliers(differences: Array, largest: float) -> float:
    return float((~(differences <= MAX_RELATIVE_DIFFERENCE * largest)).mean())  # NaN is one
