"""The networks' own losses, on logits at any stride against labels at full resolution."""

from __future__ import annotations

import math
from functools import partial
from typing import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.errors import UnknownNameError
from rtseg.training.class_shares import Shares, focal_exponents, inverse_log_weights

AUXILIARY_WEIGHT = 0.4
"""The weight of an auxiliary output relative to the main one, as in PSPNet (Zhao et al., 2017, section 3.3)."""


class SegmentationLoss(nn.Module):
    """A loss over the main logits and those of the auxiliary heads, all upsampled to the labels' size."""

    def __init__(self, *, ignore_index: int, align_corners: bool) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.align_corners = align_corners

    def forward(self, logits: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """Return the scalar loss for logits of (batch, classes, h, w) and int64 labels (batch, H, W)."""
        raise NotImplementedError

    def upsampled(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the logits at the size of the labels."""
        size = (int(labels.shape[-2]), int(labels.shape[-1]))
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=self.align_corners)

    def cross_entropy(self, logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the weighted mean for one output over the labelled pixels, 0 if there is none.

        Weights are 1 or more. PyTorch's own mean would be NaN for a batch that is all void.
        """
        labelled = labels != self.ignore_index
        total = F.cross_entropy(
            self.upsampled(logits, labels), labels, weight, ignore_index=self.ignore_index, reduction="sum"
        )
        parts = labelled.sum() if weight is None else weight[labels[labelled]].sum()
        return total / parts.clamp(min=1)


class ObjectWeightedFocalLoss(SegmentationLoss):
    """OWFL + 0.5 CE, the loss of AFFNet (Kuang et al., equations 3 to 7; OWFL by Wang et al., 2020).

    -alpha (1 - p) ** gamma ln p, where p is the probability of the true class, alpha its normalised inverse-log weight
    at c = 1.02, and gamma the order of magnitude of its share; the mean over the labelled pixels. Auxiliary logits are
    ignored: the paper describes no auxiliary head.
    """

    C = 1.02
    CROSS_ENTROPY_WEIGHT = 0.5

    alpha: Tensor
    gamma: Tensor

    def __init__(self, shares: Shares, *, ignore_index: int, align_corners: bool) -> None:
        super().__init__(ignore_index=ignore_index, align_corners=align_corners)
        weights = inverse_log_weights(shares, self.C)
        self.register_buffer("alpha", torch.tensor(weights / weights.max(), dtype=torch.float32))
        self.register_buffer("gamma", torch.tensor(focal_exponents(shares), dtype=torch.float32))

    def forward(self, logits: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """Return the scalar loss of the main logits."""
        log_probabilities = F.log_softmax(self.upsampled(logits[0], labels), 1)
        labelled = labels != self.ignore_index
        index = labels.masked_fill(~labelled, 0)
        log_p = log_probabilities.gather(1, index.unsqueeze(1)).squeeze(1)[labelled]
        truth = index[labelled]
        focal = self.alpha[truth] * (1 - log_p.exp()) ** self.gamma[truth]
        return -((focal + self.CROSS_ENTROPY_WEIGHT) * log_p).sum() / labelled.sum().clamp(min=1)


class CrossEntropy(SegmentationLoss):
    """Cross-entropy on every output: the main one counts once, each auxiliary one `auxiliary` times.

    With c the classes are weighted by 1 / ln(c + share): 1.10 in S2-FPN's published training (main output plus its four
    auxiliary ones) and in ERFNet's, 1.02 in that of ENet (Paszke et al., section 5.2).
    """

    weight: Tensor | None

    def __init__(
        self,
        shares: Shares,
        *,
        ignore_index: int,
        align_corners: bool,
        c: float | None = None,
        auxiliary: float = 1.0,
    ) -> None:
        super().__init__(ignore_index=ignore_index, align_corners=align_corners)
        self.auxiliary = auxiliary
        weight = None if c is None else torch.tensor(inverse_log_weights(shares, c), dtype=torch.float32)
        self.register_buffer("weight", weight)

    def forward(self, logits: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """Return the weighted sum of the losses of all outputs."""
        losses = [self.cross_entropy(output, labels, self.weight) for output in logits]
        return _main_and_auxiliary(losses, self.auxiliary)


class DiceCrossEntropy(SegmentationLoss):
    """CE + soft Dice, one to one, on the main output (Huo et al., 2023).

    Dice is 1 - the mean over the classes of (2 I + s) / (P + Y + s). Over the labelled pixels of the batch, I sums a
    class's probability where it is the true class, P sums it everywhere, and Y counts the class's pixels. The paper
    gives no formula; this is the usual one, with s = 1e-5. Auxiliary logits are ignored.
    """

    SMOOTH = 1e-5

    def __init__(self, shares: Shares, *, ignore_index: int, align_corners: bool) -> None:
        super().__init__(ignore_index=ignore_index, align_corners=align_corners)
        self.classes = len(shares)

    def forward(self, logits: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """Return the scalar loss of the main logits."""
        labelled = labels != self.ignore_index
        truth = labels[labelled]
        probabilities = F.softmax(self.upsampled(logits[0], labels), 1).movedim(1, -1)[labelled]
        of_truth = probabilities.gather(1, truth.unsqueeze(1)).squeeze(1)
        overlap = of_truth.new_zeros(self.classes).index_add(0, truth, of_truth)
        areas = probabilities.sum(0) + torch.bincount(truth, minlength=self.classes)
        dice = ((2 * overlap + self.SMOOTH) / (areas + self.SMOOTH)).mean()
        return self.cross_entropy(logits[0], labels) + (1 - dice)


class HardExampleCrossEntropy(SegmentationLoss):
    """Cross-entropy over the hard pixels (OHEM: Shrivastava et al., CVPR 2016), on every output.

    A labelled pixel is hard if its true class has a probability below 0.7. If fewer than a sixteenth of the labelled
    pixels are hard, that many pixels with the highest losses are used. The loss is their mean; an auxiliary output
    counts 0.4 times.
    """

    HARD_BELOW = 0.7
    KEPT_AT_LEAST = 1 / 16

    def __init__(self, shares: Shares, *, ignore_index: int, align_corners: bool) -> None:
        super().__init__(ignore_index=ignore_index, align_corners=align_corners)

    def forward(self, logits: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """Return the weighted sum of the losses of all outputs."""
        return _main_and_auxiliary([self._of_hard(output, labels) for output in logits], AUXILIARY_WEIGHT)

    def _of_hard(self, logits: Tensor, labels: Tensor) -> Tensor:
        every = F.cross_entropy(
            self.upsampled(logits, labels), labels, ignore_index=self.ignore_index, reduction="none"
        )
        losses = every[labels != self.ignore_index]
        fewest = math.ceil(losses.numel() * self.KEPT_AT_LEAST)
        hard = losses[losses > -math.log(self.HARD_BELOW)]
        kept = hard if hard.numel() >= fewest else losses.topk(fewest).values
        return kept.sum() / max(1, kept.numel())


def _main_and_auxiliary(losses: list[Tensor], auxiliary: float) -> Tensor:
    """Return the first loss plus the others' sum weighted by `auxiliary`."""
    return torch.stack([losses[0], *(auxiliary * loss for loss in losses[1:])]).sum()


LOSSES: dict[str, Callable[..., SegmentationLoss]] = {
    "owfl+ce": ObjectWeightedFocalLoss,
    "weighted-ce": partial(CrossEntropy, c=1.10),
    "weighted-ce-1.02": partial(CrossEntropy, c=1.02),
    "ce": CrossEntropy,
    "ce+auxiliary": partial(CrossEntropy, auxiliary=AUXILIARY_WEIGHT),
    "ce+dice": DiceCrossEntropy,
    "ohem": HardExampleCrossEntropy,
}


def require_loss(name: str) -> None:
    """Raise UnknownNameError, naming the closest one, unless there is such a loss."""
    if name not in LOSSES:
        raise UnknownNameError("loss", name, LOSSES)


def build_loss(name: str, shares: Shares, *, ignore_index: int, align_corners: bool) -> SegmentationLoss:
    """Return the named loss for a training set with those class shares. Raises UnknownNameError."""
    require_loss(name)
    return LOSSES[name](shares, ignore_index=ignore_index, align_corners=align_corners)
