"""A network ready for use: the module with its weights, and the contracts that go with it.

Wherever the command line takes a network it ends here, whether the name is a registered one, a
checkpoint is given, or the user's own factory is (`--module package.module:factory`).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from rtseg.errors import NetworkError
from rtseg.networks.registry import network_spec
from rtseg.networks.spec import NetworkSpec, SegmentationNetwork
from rtseg.specs import ClassSpec, ImageSpec, Normalization, OutputSpec, Resolution, require_field_types

STRIDES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class PreparedNetwork:
    """A module with weights. weights says where they come from; spec is None for a user's own network.

    threshold is of a module with one channel for its two classes; None where each class has its own.
    """

    name: str
    module: SegmentationNetwork
    classes: ClassSpec
    normalization: Normalization
    weights: str
    options: Mapping[str, str] = field(default_factory=dict)
    spec: NetworkSpec | None = None
    parent_sha256: str | None = None
    threshold: float | None = None

    def image_spec(self, resolution: Resolution) -> ImageSpec:
        """Return the image contract at resolution. Raises SpecError where the strides do not fit."""
        resolution.require_multiple_of(self.module.multiple, self.name)
        return ImageSpec.of(resolution, self.normalization)

    def output_spec(self, interface: str) -> OutputSpec:
        """Return the output contract of one of the three interfaces."""
        return OutputSpec(
            self.classes, interface, self.module.stride, self.module.align_corners, threshold=self.threshold
        )


class FactoryNetwork(SegmentationNetwork):
    """A user's module behind the contract of networks: the first output counts, the stride is measured."""

    def __init__(self, module: nn.Module, classes: int, label: str) -> None:
        super().__init__()
        self.module = module
        self.align_corners = bool(getattr(module, "align_corners", False))
        self.stride = _measured_stride(self, classes, label)

    def forward(self, images: Tensor) -> Tensor:
        """Return the module's output, or the first of several."""
        return self.training_logits(images)[0]

    def training_logits(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return all of the module's outputs."""
        outputs = self.module(images)
        if isinstance(outputs, Mapping):
            outputs = tuple(outputs.values())
        return tuple(outputs) if isinstance(outputs, (list, tuple)) else (outputs,)


def _measured_stride(network: SegmentationNetwork, classes: int, label: str) -> int:
    side = 128
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            logits: object = network(torch.zeros(1, 3, side, side))
    except Exception as error:  # a network of the user's own raises what it likes
        raise NetworkError(f"{label} fails on a float32 (1, 3, {side}, {side}) image: {_told(error)}") from error
    finally:
        network.train(training)
    if not isinstance(logits, Tensor) or logits.dtype != torch.float32:
        raise NetworkError(
            f"{label} gives no logits",
            got=logits.dtype if isinstance(logits, Tensor) else type(logits).__name__,
            expected="a float32 tensor, or several of which it is the first",
        )
    fitting = [stride for stride in STRIDES if tuple(logits.shape) == (1, classes, side // stride, side // stride)]
    if not fitting:
        raise NetworkError(
            f"{label} gives another shape than logits",
            got=tuple(logits.shape),
            expected=f"(1, {classes}, {side}/s, {side}/s) with a stride s of 1 to 32",
            hint="a factory that takes classes and builds a module with that many output channels",
        )
    return fitting[0]


def build_network(
    name: str, classes: ClassSpec, *, options: Mapping[str, str] | None = None, seed: int = 0
) -> PreparedNetwork:
    """Return a registered network as its author initialises it, to be filled or trained.

    Raises UnknownNameError.
    """
    spec = network_spec(name)
    complete = spec.complete_options(options or {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = spec.build(len(classes), **complete)
    return PreparedNetwork(
        name=name,
        module=module.eval(),
        classes=classes,
        normalization=spec.normalization_for(classes.dataset),
        weights=f"random (seed {seed})",
        options=complete,
        spec=spec,
    )


def network_with_random_weights(
    name: str, classes: ClassSpec, *, options: Mapping[str, str] | None = None, seed: int = 0
) -> PreparedNetwork:
    """Return a registered network that nobody trained, fit to be exported and timed.

    Its batch statistics are those of noise. Without them nothing keeps the activations in bounds:
    multiplicative attention overflows, and on a CPU even the speed is another one.
    Raises UnknownNameError.
    """
    network = build_network(name, classes, options=options, seed=seed)
    settle_batch_statistics(network.module, network.normalization, seed=seed)
    return network


def settle_batch_statistics(module: SegmentationNetwork, normalization: Normalization, *, seed: int = 0) -> None:
    """Set the running mean and variance of every batch normalisation to those of seeded noise images."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (normalization.mean, normalization.std))
    training = module.training
    module.train()
    for layer in layers:
        layer.momentum = None  # the plain average over all batches seen
        layer.reset_running_stats()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        pixels = torch.randint(0, 256, (2, 3, 128, 128)).float()
        module.training_logits(pixels * (normalization.scale / std) - mean / std)
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum
    module.train(training)


def network_from_factory(reference: str, classes: ClassSpec, *, seed: int = 0) -> PreparedNetwork:
    """Return the network that `package.module:factory` builds when called with classes=N.

    The current folder is importable, as for `python -m`. The module may offer `normalization` (a
    rtseg.specs.Normalization) and `align_corners`. Raises NetworkError.
    """
    home, _, attribute = reference.partition(":")
    if not home or home.startswith(".") or not attribute:
        raise NetworkError("not a reference to a factory", got=repr(reference), expected="package.module:factory")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        factory = getattr(importlib.import_module(home), attribute)
    except (ImportError, AttributeError) as error:
        raise NetworkError(f"cannot import {reference}: {error}", hint="run from the folder that holds it") from error
    except (Exception, SystemExit) as error:  # the user's own code raises what it likes
        raise NetworkError(f"importing {home} failed: {_told(error)}") from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            module = factory(classes=len(classes))
        except (Exception, SystemExit) as error:
            raise NetworkError(f"{reference}(classes={len(classes)}) failed: {_told(error)}") from error
    if not isinstance(module, nn.Module):
        raise NetworkError(f"{reference} built no module", got=type(module).__name__, expected="torch.nn.Module")
    network = _behind_the_contract(module, len(classes), reference)
    normalization = getattr(module, "normalization", Normalization())
    if not isinstance(normalization, Normalization):
        raise NetworkError(
            f"{reference} offers a normalization of another type",
            got=type(normalization).__name__,
            expected="rtseg.specs.Normalization",
        )
    require_field_types(Normalization, vars(normalization))
    return PreparedNetwork(reference, network.eval(), classes, normalization, f"as {attribute} built them")


def _behind_the_contract(module: nn.Module, classes: int, label: str) -> SegmentationNetwork:
    if not isinstance(module, SegmentationNetwork):
        return FactoryNetwork(module, classes, label)
    measured = _measured_stride(module, classes, label)
    if getattr(module, "stride", None) != measured:
        raise NetworkError(
            f"{label} states another stride than its logits have",
            got=getattr(module, "stride", None),
            expected=measured,
        )
    return module


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
