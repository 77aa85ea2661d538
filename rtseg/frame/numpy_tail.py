"""The tail in NumPy: the twin of native/tail.cpp, label for label, where no compiler was there.

Same cells, same classes left out, same float32 operations in the same order. Cells are handled
many at a time, so a cell is padded to a common shape; the padding repeats its last pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtseg.frame.bilinear import Axis

MAX_LOGIT = np.float32(1e30)
LONGEST_CELL = 64
VALUES_AT_ONCE = 1 << 17
"""Pixels, or corners, of mixed cells: bounds the memory, and keeps the intermediates in the cache."""

Labels = NDArray[np.uint8]
Indices = NDArray[np.intp]
Logits = NDArray[np.float32]


def numpy_labels(logits: Logits, labels: Labels, *, align_corners: bool) -> None:
    """Fill labels, of any size, from valid logits (see labels_from_logits)."""
    logits = _clamped(logits)
    winners = _argmax(logits)
    if winners.shape == labels.shape:
        labels[:] = winners
        return
    rows = _Cells.of(Axis.of(winners.shape[0], labels.shape[0], align_corners=align_corners))
    columns = _Cells.of(Axis.of(winners.shape[1], labels.shape[1], align_corners=align_corners))
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
        _interpolate(logits, labels, rows.take(cell_rows[some]), columns.take(cell_columns[some]))


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
        longest = min(LONGEST_CELL, -(-outputs // (int(axis.near[-1]) + 1)))
        begins = np.diff(axis.near, prepend=-1) != 0
        run = np.cumsum(begins) - 1
        place_in_run = np.arange(outputs) - np.flatnonzero(begins)[run]
        starts = np.flatnonzero(place_in_run % longest == 0)
        length = np.diff(starts, append=outputs)
        sample = starts[:, None] + np.minimum(np.arange(longest), length[:, None] - 1)
        return cls(
            axis.near[starts], axis.far[starts], length, sample, axis.near_weight[sample], axis.far_weight[sample]
        )

    def take(self, cells: Indices) -> _Cells:
        """Return these cells, in this order, repeated where asked for twice."""
        return _Cells(**{name: values[cells] for name, values in vars(self).items()})


def _clamped(logits: Logits) -> Logits:
    clamped: Logits = np.where(np.isnan(logits), -MAX_LOGIT, logits)
    return np.clip(clamped, -MAX_LOGIT, MAX_LOGIT, out=clamped)


def _argmax(logits: Logits) -> Labels:
    best = logits[0].copy()
    winners = np.zeros(best.shape, np.uint8)
    for index in range(1, len(logits)):
        np.putmask(winners, logits[index] > best, np.uint8(index))
        np.maximum(best, logits[index], out=best)
    return winners


def _interpolate(logits: Logits, labels: Labels, rows: _Cells, columns: _Cells) -> None:
    """Label the pixels of these cells by interpolating, in each, the classes that can win in it."""
    corners = [logits[:, y, x] for y in (rows.near, rows.far) for x in (columns.near, columns.far)]
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
        a, b, d, e = (corner[index, cells, None] for corner in corners)
        near_x, far_x = columns.near_weight[cells], columns.far_weight[cells]
        above = (near_x * a + far_x * b)[:, None, :]
        below = (near_x * d + far_x * e)[:, None, :]
        value = rows.near_weight[cells][:, :, None] * above
        value += rows.far_weight[cells][:, :, None] * below
        previous = best[cells]
        winner[cells] = np.where(value > previous, np.uint8(index), winner[cells])
        best[cells] = np.maximum(value, previous)
    labels[rows.sample[:, :, None], columns.sample[:, None, :]] = winner
