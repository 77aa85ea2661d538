"""Prove that an exported file computes what the network computes.

An input passes in one of two ways. Usually file and network are so close, within the floors below, that no more is
needed. Otherwise a run of the network in FP64 decides whether rounding explains the difference: the file passes if its
distance from FP64 is at most twice that of the network's own runs in FP32 on the same input. Networks that choose
between values need this, such as ENet in its unpooling: if two values differ by less than rounding, PyTorch in FP32
chooses differently from FP64, and so does the file, but in other places.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import ParityError, RunnerError
from rtseg.exporting.parity_report import (
    MAX_RATIO,
    MAX_RELATIVE_DIFFERENCE,
    Distance,
    Fp64Parity,
    InputParity,
    NeighbourParity,
    ParityReport,
)
from rtseg.frame.host_ends import HostEnds
from rtseg.frame.protocol import Array, Runner
from rtseg.runners.probes import LARGE, probe_inputs
from rtseg.specs import ImageSpec, OutputSpec

FP32_RUNS = 17
"""Maximum number of FP32 runs that measure the distance from FP64: one with the network as it is, then others with its
weights moved by rounding, until they suffice.

A single run may be lucky. On an input of ENet rounding decides few choices, and each moves up to 2e-3 of the logits
beyond MAX_RELATIVE_DIFFERENCE: a run is off by 1e-7 if no choice changed, and the next one, or the file, by 3e-3 of its
logits. Of 248 inputs, with a correct file, the first run alone refused 29, nine runs together 2 and these none.
"""


NEIGHBOURS = 4
"""Number of neighbouring inputs that a reference without FP64 is run on."""

NEAR_OVERFLOW = 1e37
"""FP32 ends at 3.4e38: beyond this value the order of summation may decide which side is infinite."""


class Fp64Reference(Protocol):
    """A network that also runs in FP64, and in FP32 with other roundings, such as rtseg.runners.torch.TorchRunner."""

    def infer_fp64(self, array: Array) -> Array:
        """Return the output in FP64. Raises RunnerError if there is none."""

    def infer_moved(self, array: Array, seed: int) -> Array:
        """Return the output in FP32 with every weight moved to a neighbouring number; seed selects the directions."""


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
    """Run both on random inputs, one of them large and of both signs, and on each picture; return their differences.

    Each side gets its own copy of the input, because a network may write into it. On the large input, values that are
    not finite on both sides do not count as a difference.

    fp64 is the reference again; it decides if an input exceeds the floors. Without it only the large input gets a
    second check: the reference's results with each value of the input moved to a neighbouring number. Raises
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
    """The two runners that are compared, and the way from outputs to labels."""

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
    if not np.array_equal(raw, reference.infer(array.copy()), equal_nan=True):  # otherwise its randomness would count
        return replace(entry, fp64_failure=f"{reference.backend} gives other results each time")
    try:
        exact = _with_zeros(fp64.infer_fp64(array.copy()), counted)
    except RunnerError as error:
        return replace(entry, fp64_failure=str(error))
    moved = (_with_zeros(fp64.infer_moved(array.copy(), run), counted) for run in range(1, FP32_RUNS))
    return replace(entry, fp64=_compared_with_fp64(_Exact(exact, ends), got, expected, moved))


def _counted(expected: Array, got: Array) -> Array | None:
    """Return a mask of the values that count, None if all do or if a value is not finite on one side only.

    Values that overflowed on both sides, or on one side and nearly on the other, do not count.
    """
    finite, found = np.isfinite(expected), np.isfinite(got)
    if finite.all() and found.all():
        return None
    with np.errstate(invalid="ignore"):
        near = (np.abs(expected) > NEAR_OVERFLOW) & (np.abs(got) > NEAR_OVERFLOW)
    return finite & found if ((finite == found) | near).all() else None


def _with_zeros(values: Array, counted: Array | None) -> Array:
    """Return the values, with zeros for those that do not count."""
    return values if counted is None else np.where(counted, values, values.dtype.type(0))


def _neighbours(array: Array, expected: Array, got: Array, counted: Array | None, sides: _Sides) -> NeighbourParity:
    """Compare the candidate with the reference's own results on neighbours of the input."""
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
    # Too far even if each run were as far from FP64 as the first, or as the floors, and each in another place.
    if candidate.exceeds(reference.at_least_the_floors(), MAX_RATIO * FP32_RUNS):
        return found
    while not found.agrees and (result := next(moved, None)) is not None:
        further, other = exact.differences(result)
        if np.isfinite(further).all():  # one without bounds would excuse everything
            values, labels = np.maximum(values, further), labels | other
        found = replace(found, fp32=exact.distance(values, labels), runs=found.runs + 1)
    return found


class _Exact:
    """An output in FP64, to measure the distance of others from it."""

    def __init__(self, output: Array, ends: HostEnds) -> None:
        self._output, self._ends = output, ends
        self._labels = _labels(ends, output)
        self._only_labels = ends.gives_labels
        self._largest = 1.0 if self._only_labels else float(np.abs(output).max())

    def differences(self, result: Array) -> tuple[Array, Array]:
        """Return the difference of each logit from its FP64 value, and a mask of the labels that differ."""
        values = np.zeros(1) if self._only_labels else _differences(self._output, result)
        return values, self._labels != _labels(self._ends, result)

    def distance(self, values: Array, labels: Array) -> Distance:
        """Return the distance that these differences give."""
        scale = self._largest or 1.0
        rms = math.sqrt(float(np.vdot(values, values)) / values.size)
        outliers = _outliers(values, self._largest)
        return Distance(float(values.max()) / scale, rms / scale, outliers, float(labels.mean()))


def _labels(ends: HostEnds, result: Array) -> Array:
    """Return the labels of an output, at the graph's resolution."""
    return ends.labels(result, height=ends.image.height, width=ends.image.width)


def _differences(expected: Array, got: Array) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):  # the report states values that are not finite
        differences: Array = expected - got
    np.abs(differences, out=differences)
    return differences


def _outliers(differences: Array, largest: float) -> float:
    return float((~(differences <= MAX_RELATIVE_DIFFERENCE * largest)).mean())  # NaN is one
