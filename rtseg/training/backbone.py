"""The initial weights of a network's backbone: random, torchvision's ImageNet weights, or another network's."""

from __future__ import annotations

from rtseg.artifacts.files import PathLike, sha256_of
from rtseg.errors import CheckpointError, TrainingError
from rtseg.networks.checkpoints import network_from_checkpoint, weights_by_name
from rtseg.networks.prepared import PreparedNetwork
from rtseg.training.recipe import TrainingRecipe


def load_backbone(network: PreparedNetwork, recipe: TrainingRecipe, path: PathLike | None) -> str | None:
    """Initialise the backbone as the recipe says. Return the file's SHA-256, None if the weights stay random.

    path is a .pth file of torchvision's classifier, or an rtseg checkpoint whose network has the same backbone.
    Raises TrainingError if recipe, network and path do not fit together, and CheckpointError for a file that cannot be
    read or is of another model.
    """
    if recipe.backbone == "random":
        if path is not None:
            raise TrainingError("the recipe's backbone is random, yet weights are given", got=path, expected="no file")
        return None
    model = network.module.backbone
    if not model:
        raise TrainingError(f"{network.name} has no backbone with ImageNet weights", hint="use --backbone random")
    if recipe.backbone == "checkpoint":
        if path is None:
            raise TrainingError(
                f"the recipe starts {network.name} from the backbone of another network, and no checkpoint is given",
                expected=f"a checkpoint of a network with {model}",
                hint="pass --backbone FILE.safetensors, or --backbone random",
            )
        network.module.copy_backbone(network_from_checkpoint(path).module)
        return sha256_of(path)
    if path is None:
        raise TrainingError(
            f"the recipe starts {network.name} from ImageNet weights, and no file of them is given",
            expected=f"the state_dict of torchvision.models.{model}",
            hint="pass --backbone FILE, or --backbone random",
        )
    network.module.load_backbone(weights_by_name(path))
    return sha256_of(path)


def require_same_backbone(path: PathLike, begun_with: str | None) -> None:
    """Raise TrainingError unless path is the file with the SHA-256 that the resumed run started from."""
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    if digest != begun_with:
        raise TrainingError(
            "the run began with other backbone weights",
            got=f"{path} with SHA-256 {digest}",
            expected=begun_with or "random ones",
        )
