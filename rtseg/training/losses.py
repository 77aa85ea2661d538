"""The networks' own losses, on logits at any stride against labels at full resolution."""

from __future__ import annotations

from typing import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.errors import UnknownNameError
from rtseg.training.class_shares import Shares, focal_exponents, inverse_log_weights


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

    def cross_entropy(self, logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted mean of one output over the labelled pixels, 0 where there is none.

        Weights are 1 or more. PyTorch's own mean is NaN for a batch that is all void.
        """
        labelled = labels != self.ignore_index
        total = F.cross_entropy(
            self.upsampled(logits, labels), labels, weight, ignore_index=self.ignore_index, reduction="sum"
        )
        return total / weight[labels[labelled]].sum().clamp(min=1)


class ObjectWeightedFocalLoss(SegmentationLoss):
    """OWFL + 0.5 CE, the loss of AFFNet (Kuang et al., equations 3 to 7; OWFL by Wang et al., 2020).

    -alpha (1 - p) ** gamma ln p with p the probability of the true class, alpha its normalised
    inverse-log weight at c = 1.02 and gamma the order of magnitude of its share; the mean over the
    labelled pixels. Auxiliary logits are ignored: the paper describes no auxiliary head.
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


class WeightedCrossEntropy(SegmentationLoss):
    """Cross-entropy with class weights 1 / ln(1.10 + share), on every output with weight 1.

    The loss of S2-FPN's published training: the main output plus its four auxiliary ones.
    """

    C = 1.10

    weight: Tensor

    def __init__(self, shares: Shares, *, ignore_index: int, align_corners: bool) -> None:
        super().__init__(ignore_index=ignore_index, align_corners=align_corners)
        self.register_buffer("weight", torch.tensor(inverse_log_weights(shares, self.C), dtype=torch.float32))

    def forward(self, logits: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """Return the sum of the losses of all outputs."""
        return torch.stack([self.cross_entropy(output, labels, self.weight) for output in logits]).sum()


class PlainCrossEntropy(SegmentationLoss):
    """Unweighted cross-entropy on every output: what a network of the user's own is trained with."""

    weight: Tensor

    def __init__(self, shares: Shares, *, ignore_index: int, align_corners: bool) -> None:
        super().__init__(ignore_index=ignore_index, align_corners=align_corners)
        self.register_buffer("weight", torch.ones(len(shares), dtype=torch.float32))

    def forward(self, logits: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """Return the sum of the losses of all outputs."""
        return torch.stack([self.cross_entropy(output, labels, self.weight) for output in logits]).sum()


LOSSES: dict[str, Callable[..., SegmentationLoss]] = {
    "owfl+ce": ObjectWeightedFocalLoss,
    "weighted-ce": WeightedCrossEntropy,
    "ce": PlainCrossEntropy,
}


def build_loss(name: str, shares: Shares, *, ignore_index: int, align_corners: bool) -> SegmentationLoss:
    """Return the named loss for a training set with those class shares. Raises UnknownNameError."""
    if name not in LOSSES:
        raise UnknownNameError("loss", name, LOSSES)
    return LOSSES[name](shares, ignore_index=ignore_index, align_corners=align_corners)
