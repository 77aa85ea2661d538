"""ImageNet weights of torchvision's classifiers, for the backbones that are built with its names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from rtseg.errors import CheckpointError


def load_imagenet(trunk: nn.Module, state: Mapping[str, Tensor], *, model: str, classifier: tuple[str, ...]) -> None:
    """Copy the weights of torchvision's model into its trunk.

    The layers whose names begin with one of `classifier` are left out. Raises CheckpointError for the
    weights of another model, before anything is copied.
    """
    own = {k: v for k, v in trunk.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked") and not k.startswith(classifier)}
    unfit = sorted(set(own) ^ set(given)) or sorted(k for k, v in own.items() if v.shape != given[k].shape)
    if unfit:
        raise CheckpointError(
            f"these are not the ImageNet weights of {model}",
            got=f"{len(unfit)} parameters that differ ({unfit[0]}, ...)",
            expected=f"the state_dict of torchvision.models.{model}",
        )
    trunk.load_state_dict(given, strict=False)
