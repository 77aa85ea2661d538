"""How often each class occurs, and the class weights that the papers derive from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtseg.datasets.labelled import LabelledDataset
from rtseg.errors import TrainingError
from rtseg.observer import SILENT, Observer

Shares = NDArray[np.float64]

ROUNDING = 1e-9
"""Added to a logarithm, so that a ratio of exactly 10, rounded to just below, counts as 10."""


def class_shares(dataset: LabelledDataset, observer: Observer = SILENT) -> Shares:
    """Return each class's fraction of the labelled pixels, float64 (classes,), with sum 1.

    Raises TrainingError if no pixel is labelled.
    """
    counts = np.zeros(256, np.int64)
    for index in range(len(dataset)):
        counts += np.bincount(dataset[index].labels.ravel(), minlength=256)
        observer.progress("counting classes", index + 1, len(dataset))
    labelled = counts[: len(dataset.classes)]
    if not labelled.sum():
        raise TrainingError("the training split has no labelled pixel")
    shares: Shares = labelled / labelled.sum()
    return shares


def inverse_log_weights(shares: Shares, c: float) -> NDArray[np.float64]:
    """Return 1 / ln(c + share) for each class (Paszke et al., ENet, section 5.2)."""
    return 1 / np.log(c + shares)


def focal_exponents(shares: Shares) -> NDArray[np.float64]:
    """Return each class's exponent: the order of magnitude of its share relative to the smallest (OWFL, equation 6).

    The order of magnitude is floor(log10): the only rule that gives the three groups of AFFNet's Table VIII on
    Cityscapes. A class that never occurs gets 0, and does not count as the smallest.
    """
    present = shares > 0
    ratios = np.where(present, shares, 1) / shares[present].min()
    return np.where(present, np.floor(np.log10(ratios) + ROUNDING), 0.0)
