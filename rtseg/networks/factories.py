"""A user's own network: built by their function, run once, and wrapped to meet the contract of networks."""

from __future__ import annotations

import copy
import difflib
import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Callable

import torch
from torch import Tensor, nn

from rtseg.errors import NetworkError
from rtseg.networks.outputs import LOUD, Head, head_of, stride_of, threshold_of_values
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.spec import SegmentationNetwork
from rtseg.specs import ClassSpec, Normalization, Resolution
from rtseg.specs.versioned_json import require_field_types

TRIED_AT = Resolution(128, 128)
"""The size of the trial run if none is given."""

CLASSES_ARGUMENTS = ("classes", "num_classes", "n_classes", "nclass", "num_labels", "nc")
"""Names of a factory's argument for the number of classes: rtseg's first, then those of model collections."""

OTHERWISE_IN_TRAINING = (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd)
"""Layers that compute something else in training."""

RELATIVE_TOLERANCE = 1e-4

OF_ARGUMENTS = re.compile(r"unexpected keyword argument|required \w.*argument|takes .*arguments?")
"""Python's messages for a call whose arguments do not fit."""

Factory = Callable[..., object]


@dataclass(frozen=True)
class Trial:
    """The result of a trial run: the output with the logits, their stride, and the threshold of a single channel.

    asked is the output that the user asked for, where evaluation gives one only: training may give more.
    """

    head: str
    stride: int
    threshold: float | None = None
    asked: Head = None


class FactoryNetwork(SegmentationNetwork):
    """A user's module wrapped to meet the contract of networks. Checkpoints use only the names of the module."""

    def __init__(self, module: nn.Module, classes: int, trial: Trial, label: str) -> None:
        super().__init__()
        self.module = module
        self.align_corners = bool(getattr(module, "align_corners", False))
        self.stride = trial.stride
        self._head, self._classes, self._label = trial.head, classes, label
        self._asked = trial.asked
        self._head_in_training: str | None = None

    @property
    def named_weights(self) -> nn.Module:
        """The user's module, without a DataParallel wrapper."""
        inner = self.module.module if isinstance(self.module, nn.DataParallel) else self.module
        assert isinstance(inner, nn.Module)
        return inner

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        outputs = named_outputs(self.module(images))
        logits = outputs[self._main(outputs, images)]
        return logits if logits.dtype in (torch.float32, torch.float64) else logits.float()

    def training_logits(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the logits, then every other output with a channel for each class, at any stride.

        Each is (batch, classes, height, width). Raises NetworkError if no output has the shape of logits.
        """
        outputs = named_outputs(self.module(images))
        main = outputs.pop(self._main(outputs, images))
        resolution = Resolution(*map(int, images.shape[2:]))
        shapes = {name: _shape_of_one(tensor) for name, tensor in outputs.items()}
        return (main, *(outputs[name] for name, shape in shapes.items() if self._is_auxiliary(shape, resolution)))

    def _main(self, outputs: dict[str, Tensor], images: Tensor) -> str:
        """Return the name of the logits: the one found in evaluation, or another, as training may add outputs."""
        if self._head in outputs:
            return self._head
        if self._head_in_training not in outputs:
            self._head_in_training = self._found_in_training(outputs, images)
        return self._head_in_training

    def _found_in_training(self, outputs: dict[str, Tensor], images: Tensor) -> str:
        """Return the output of training that is the logits: by the rule, else the one that evaluation gives too."""
        resolution = Resolution(*map(int, images.shape[2:]))
        shapes = {name: _shape_of_one(tensor) for name, tensor in outputs.items()}
        try:
            return head_of(shapes, self._classes, resolution, self._asked, f"{self._label} in training")
        except NetworkError:
            if (same := self._same_as_in_evaluation(images[:1])) is None:
                raise
            return same

    def _same_as_in_evaluation(self, image: Tensor) -> str | None:
        """Return the output of training with the values of evaluation's logits, None if there is none.

        Both are computed with the batch statistics of evaluation and without dropout.
        """
        modes = [(module, module.training) for module in self.module.modules()]
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                expected = named_outputs(self.module.eval()(image))[self._head]
                for module, _ in modes:
                    module.training = not isinstance(module, OTHERWISE_IN_TRAINING)
                outputs = named_outputs(self.module(image))
        finally:
            for module, training in modes:
                module.training = training
        close = RELATIVE_TOLERANCE * float(expected.abs().max())
        return next(
            (
                name
                for name, tensor in outputs.items()
                if tensor.shape == expected.shape and torch.allclose(tensor, expected, rtol=0, atol=close)
            ),
            None,
        )

    def _is_auxiliary(self, shape: tuple[int, ...], resolution: Resolution) -> bool:
        return shape[1:2] == (self._classes,) and stride_of(shape, self._classes, resolution) is not None


def named_outputs(outputs: object) -> dict[str, Tensor]:
    """Return a module's output tensors by name: "out", "1", "1.0" for a list in a tuple, "" for a single tensor."""
    if isinstance(outputs, Tensor):
        return {"": outputs}
    if is_dataclass(outputs) and not isinstance(outputs, Mapping):
        outputs = vars(outputs)
    if isinstance(outputs, Mapping):
        items = [(str(key), value) for key, value in outputs.items()]
    elif isinstance(outputs, (list, tuple)):
        names = getattr(outputs, "_fields", range(len(outputs)))  # the field names of a named tuple
        items = [(str(name), value) for name, value in zip(names, outputs)]
    else:
        return {}
    return {
        f"{name}.{inner}" if inner else name: tensor
        for name, value in items
        for inner, tensor in named_outputs(value).items()
    }


def network_from_factory(
    reference: str,
    classes: ClassSpec,
    *,
    seed: int = 0,
    resolution: Resolution | None = None,
    head: Head = None,
    threshold: float | None = None,
) -> PreparedNetwork:
    """Return the network that `package.module:factory` builds when called with the number of classes.

    Its argument is one of CLASSES_ARGUMENTS. The current folder is importable, as for `python -m`. The module may
    define `normalization` (an rtseg.specs.Normalization) and `align_corners`. A copy is run once at the resolution, by
    default 128x128; head is the name or index of the output with the logits if several could be. threshold is that of a
    network of two classes with one channel, by default 0.5 for probabilities and 0 for logits. Raises NetworkError.
    """
    factory = _imported(reference)
    module = _built(factory, reference, classes, seed)
    size = resolution or TRIED_AT
    if any(nn.parameter.is_lazy(weight) for weight in module.parameters()):
        with torch.no_grad():  # lazy parameters get their shapes here
            _outputs(module, torch.zeros(1, 3, size.height, size.width), reference)
    tried = _copy_of(module, lambda: _built(factory, reference, classes, seed))
    trial = _trial(tried, len(classes), size, head, threshold, reference)
    network = _behind_the_contract(module, len(classes), trial, reference)
    normalization = getattr(module, "normalization", Normalization())
    if not isinstance(normalization, Normalization):
        raise NetworkError(
            f"{reference} offers a normalization of another type",
            got=type(normalization).__name__,
            expected="rtseg.specs.Normalization",
        )
    require_field_types(Normalization, vars(normalization))
    attribute = reference.partition(":")[2]
    weights = f"as {attribute} built them"
    return PreparedNetwork(
        reference, network.eval(), classes, normalization, weights, head=trial.head, threshold=trial.threshold
    )


def _imported(reference: str) -> Factory:
    home, _, attribute = reference.partition(":")
    if not home or home.startswith(".") or not attribute:
        raise NetworkError("not a reference to a factory", got=repr(reference), expected="package.module:factory")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(home)
    except ImportError as error:
        named = home.removesuffix(".py").replace("/", ".") if home.endswith(".py") else ""
        hint = f"pass {named}:{attribute}" if named else "run the command in the folder that holds it"
        raise NetworkError(f"cannot import {reference}: {error}", hint=hint) from error
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise NetworkError(f"importing {home} failed: {_told(error)}") from error
    if not hasattr(module, attribute):
        near = difflib.get_close_matches(attribute, dir(module), n=1)
        hint = f"pass {home}:{near[0]}" if near else f"pass the name of a function or class in {home}"
        raise NetworkError(f"cannot import {reference}: {home} has no {attribute}", hint=hint)
    factory: Factory = getattr(module, attribute)
    return factory


def _built(factory: Factory, reference: str, classes: ClassSpec, seed: int) -> nn.Module:
    name = _argument_for_classes(factory)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            module = factory(**{name: len(classes)})
        except (Exception, SystemExit) as error:
            message = f"{reference}({name}={len(classes)}) failed: {_told(error)}"
            if not isinstance(error, TypeError) or not OF_ARGUMENTS.search(str(error)):
                raise NetworkError(message) from error
            raise NetworkError(
                message,
                expected=f"a factory that takes only the number of classes, as {', '.join(CLASSES_ARGUMENTS)}",
                hint="write a function that takes classes and builds the network",
            ) from error
    if not isinstance(module, nn.Module):
        raise NetworkError(f"{reference} did not return a torch.nn.Module", got=type(module).__name__)
    return module


def _argument_for_classes(factory: Factory) -> str:
    """Return the factory's argument for the number of classes, "classes" if it is not visible."""
    try:
        taken = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return CLASSES_ARGUMENTS[0]
    return next((name for name in CLASSES_ARGUMENTS if name in taken), CLASSES_ARGUMENTS[0])


def _copy_of(module: nn.Module, again: Callable[[], nn.Module]) -> nn.Module:
    """Return a copy that can be run without changing the original: some modules keep a grid of their first image."""
    try:
        return copy.deepcopy(module)
    except Exception:  # not every attribute can be copied
        return again()


def _trial(
    module: nn.Module, classes: int, resolution: Resolution, head: Head, threshold: float | None, label: str
) -> Trial:
    image = torch.zeros(1, 3, resolution.height, resolution.width)
    outputs = _run(module, image, label)
    floats = {name: tensor for name, tensor in outputs.items() if tensor.is_floating_point()}
    if not floats:
        raise NetworkError(
            f"{label} gives no logits",
            got=", ".join(f"{tensor.dtype} {tuple(tensor.shape)}" for tensor in outputs.values()) or "no tensor",
            expected="a floating-point tensor, or several in a list, tuple or mapping",
        )
    shapes = {name: tuple(tensor.shape) for name, tensor in floats.items()}
    chosen = head_of(shapes, classes, resolution, head, label)
    stride = stride_of(shapes[chosen], classes, resolution)
    assert stride is not None
    asked = head if chosen == "" else None
    if shapes[chosen][1] == classes:
        if threshold is not None:
            raise NetworkError(
                f"{label} has a channel for each class, so it takes no threshold",
                got=f"--threshold {threshold:g}",
                hint="leave out --threshold",
            )
        return Trial(chosen, stride, asked=asked)
    if threshold is None:
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0)) * LOUD
        channel = _run(module, noise, label)[chosen]
        threshold = threshold_of_values(float(channel.min()), float(channel.max()), label)
    return Trial(chosen, stride, threshold, asked)


def _run(module: nn.Module, image: Tensor, label: str) -> dict[str, Tensor]:
    with torch.inference_mode():
        return _outputs(module, image, label)


def _outputs(module: nn.Module, image: Tensor, label: str) -> dict[str, Tensor]:
    try:
        return named_outputs(module.eval()(image))
    except (Exception, SystemExit) as error:  # a user's network may raise anything
        raise NetworkError(
            f"{label} fails on a float32 {tuple(image.shape)} image: {_told(error)}",
            hint="pass a --resolution (rtseg train: --crop) that the network takes",
        ) from error


def _behind_the_contract(module: nn.Module, classes: int, trial: Trial, label: str) -> SegmentationNetwork:
    if not isinstance(module, SegmentationNetwork):
        return FactoryNetwork(module, classes, trial, label)
    if getattr(module, "stride", None) != trial.stride:
        raise NetworkError(
            f"{label} states another stride than its logits have",
            got=getattr(module, "stride", None),
            expected=trial.stride,
        )
    return module


def _shape_of_one(tensor: Tensor) -> tuple[int, ...]:
    """Return the tensor's shape for one image of a batch."""
    return (1, *map(int, tensor.shape[1:]))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
