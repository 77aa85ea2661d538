"""The training samples of one epoch; their order and augmentation depend only on the seed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rtseg.datasets.labelled import LabelledDataset
from rtseg.training.augmentation import augmented
from rtseg.training.recipe import TrainingRecipe

Sample = tuple[Tensor, Tensor]


class EpochSamples(Dataset[Sample]):
    """The pictures of one epoch, shuffled. A sample depends only on (seed, epoch, picture)."""

    def __init__(self, dataset: LabelledDataset, recipe: TrainingRecipe, epoch: int) -> None:
        self._dataset = dataset
        self._recipe = recipe
        self._epoch = epoch
        self._order = np.random.default_rng([recipe.seed, epoch]).permutation(len(dataset))

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, position: int) -> Sample:
        """Return an image, uint8 (3, height, width), and its labels, uint8 (height, width)."""
        index = int(self._order[position])
        rng = np.random.default_rng([self._recipe.seed, self._epoch, index])
        image, labels = augmented(self._dataset[index], self._recipe, self._dataset.classes.ignore_index, rng)
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), torch.from_numpy(labels)


def epoch_batches(dataset: LabelledDataset, recipe: TrainingRecipe, epoch: int, *, workers: int) -> DataLoader[Sample]:
    """Return the batches of one epoch, without a last, incomplete one."""
    samples = EpochSamples(dataset, recipe, epoch)
    return DataLoader(samples, batch_size=recipe.batch_size, drop_last=True, num_workers=workers)
