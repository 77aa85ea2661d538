"""Postprocessing in NumPy, used when no compiler was available: the same labels as native/tail.cpp.

It has the same cells, excludes the same classes, and does the same float32 operations in the same order. Many cells are
computed at once, so each is padded to a common shape by repeating its last pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtseg.frame.bilinear import WHOLE, Axis
from rtseg.frame.window import Window
from rtseg.specs import MAX_LOGIT

LONGEST_CELL = 64
VALUES_AT_ONCE = 1 << 17
"""Pixels or corners of mixed cells computed at once: bounds the memory, and keeps intermediate results in the cache."""

Labels = NDArray[np.uint8]
Indices = NDArray[np.intp]
Logits = NDArray[np.float32]


def numpy_labels(
    logits: Logits,
    labels: Labels,
    *,
    align_corners: bool,
    threshold: float | None = None,
    window: Window | None = None,
) -> None:
    """Fill labels, of any size, from valid logits (see labels_from_logits)."""
    logits, least = _clamped(logits), None if threshold is None else np.float32(threshold)
    winners = _argmax(logits) if least is None else (logits[0] > least).view(np.uint8)
    if winners.shape == labels.shape and (window is None or window.is_whole):
        labels[:] = winners
        return
    down, across = (WHOLE, WHOLE) if window is None else (window.rows, window.columns)
    rows = _Cells.of(Axis.of(winners.shape[0], labels.shape[0], align_corners=align_corners, part=down))
    columns = _Cells.of(Axis.of(winners.shape[1], labels.shape[1], align_corners=align_corners, part=across))
    upper, lower = winners[rows.near], winners[rows.far]
    agreed = upper[:, columns.near]
    mixed = agreed != upper[:, columns.far]
    mixed |= agreed != lower[:, columns.near]
    mixed |= agreed != lower[:, columns.far]
    labels[:] = np.repeat(np.repeat(agreed, columns.length, axis=1), rows.length, axis=0)
    cell_rows, cell_columns = np.nonzero(mixed)
    values_of_a_cell = max(len(logits), rows.sample.shape[1] * columns.sample.shape[1])
    at_once = max(1, VALUES_AT_ONCE // values_of_a_cell)
    for start in range(0, len(cell_rows), at_once):
        some = slice(start, start + at_once)
        some_rows, some_columns = rows.take(cell_rows[some]), columns.take(cell_columns[some])
        if least is None:
            winner = _interpolated_winners(logits, some_rows, some_columns)
        else:
            weights = (*some_rows.weights, *some_columns.weights)
            values = _interpolated(_corners(logits[0], some_rows, some_columns), *weights)
            winner = (values > least).view(np.uint8)
        labels[some_rows.sample[:, :, None], some_columns.sample[:, None, :]] = winner


@dataclass(frozen=True)
class _Cells:
    """Runs of output samples between the same two input samples, along one axis."""

    near: Indices
    far: Indices
    length: Indices
    sample: Indices  # (cells, longest): the output samples of each, the last one repeated
    near_weight: NDArray[np.float32]  # (cells, longest)
    far_weight: NDArray[np.float32]

    @classmethod
    def of(cls, axis: Axis) -> _Cells:
        outputs = len(axis.near)
        longest = min(LONGEST_CELL, -(-outputs // (int(axis.near[-1] - axis.near[0]) + 1)))
        begins = np.diff(axis.near, prepend=-1) != 0
        run = np.cumsum(begins) - 1
        place_in_run = np.arange(outputs) - np.flatnonzero(begins)[run]
        starts = np.flatnonzero(place_in_run % longest == 0)
        length = np.diff(starts, append=outputs)
        sample = starts[:, None] + np.minimum(np.arange(longest), length[:, None] - 1)
        return cls(
            axis.near[starts], axis.far[starts], length, sample, axis.near_weight[sample], axis.far_weight[sample]
        )

    @property
    def weights(self) -> tuple[Logits, Logits]:
        """Return the weights of the near and of the far logit, each (cells, longest)."""
        return self.near_weight, self.far_weight

    def take(self, cells: Indices) -> _Cells:
        """Return these cells in this order, repeated if requested twice."""
        return _Cells(**{name: values[cells] for name, values in vars(self).items()})


def _clamped(logits: Logits) -> Logits:
    most = np.float32(MAX_LOGIT)
    clamped: Logits = np.where(np.isnan(logits), -most, logits)
    return np.clip(clamped, -most, most, out=clamped)


def _argmax(logits: Logits) -> Labels:
    best = logits[0].copy()
    winners = np.zeros(best.shape, np.uint8)
    for index in range(1, len(logits)):
        np.putmask(winners, logits[index] > best, np.uint8(index))
        np.maximum(best, logits[index], out=best)
    return winners


def _corners(logits: Logits, rows: _Cells, columns: _Cells) -> list[Logits]:
    """Return the logits (..., h, w) at the corners of these cells, each (..., cells)."""
    return [logits[..., y, x] for y in (rows.near, rows.far) for x in (columns.near, columns.far)]


def _interpolated(corners: list[Logits], near_y: Logits, far_y: Logits, near_x: Logits, far_x: Logits) -> Logits:
    """Return the values (cells, longest, longest) of one channel between its corners (cells,), by (cells, longest)."""
    a, b, d, e = (corner[:, None] for corner in corners)
    above = (near_x * a + far_x * b)[:, None, :]
    below = (near_x * d + far_x * e)[:, None, :]
    value: Logits = near_y[:, :, None] * above
    value += far_y[:, :, None] * below
    return value


def _interpolated_winners(logits: Logits, rows: _Cells, columns: _Cells) -> Labels:
    """Return the labels (cells, longest, longest) of these cells; each interpolates only the classes that can win."""
    corners = _corners(logits, rows, columns)
    highest = np.maximum(np.maximum(corners[0], corners[1]), np.maximum(corners[2], corners[3]))
    lowest = np.minimum(np.minimum(corners[0], corners[1]), np.minimum(corners[2], corners[3]))
    can_win = highest >= lowest.max(axis=0)
    shape = (rows.sample.shape[0], rows.sample.shape[1], columns.sample.shape[1])
    best = np.full(shape, -np.inf, np.float32)
    winner = np.zeros(shape, np.uint8)
    for index, here in enumerate(can_win):
        cells = np.flatnonzero(here)
        if not len(cells):
            continue
        weights = (weight[cells] for weight in (*rows.weights, *columns.weights))
        value = _interpolated([corner[index, cells] for corner in corners], *weights)
        previous = best[cells]
        winner[cells] = np.where(value > previous, np.uint8(index), winner[cells])
        best[cells] = np.maximum(value, previous)
    return winner
