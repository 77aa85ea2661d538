"""A user's own network behind the contract: tried at the size of the export, on a copy."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from rtseg.datasets.registry import class_spec
from rtseg.errors import NetworkError, SpecError
from rtseg.networks.factories import CLASSES_ARGUMENTS, FactoryNetwork, named_outputs, network_from_factory
from rtseg.networks.prepared import PreparedNetwork
from rtseg.specs import Resolution

SOURCE = """
import torch
from torch import nn


class Base(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 4, 1)
        self.head = nn.Conv2d(4, classes, 1)
        self.other = nn.Conv2d(4, classes, 1)


class Position(Base):
    def __init__(self, classes):
        super().__init__(classes)
        self.position = nn.Parameter(torch.ones(1, 4, 16, 32))

    def forward(self, x):
        return self.head(self.stem(x) + self.position)


class Cached(Base):
    grid = None

    def forward(self, x):
        y = self.stem(x)
        if self.grid is None:
            self.grid = torch.linspace(-1, 1, y.shape[-1])
        return self.head(y + self.grid)


class CannotBeCopied(Cached):
    def __deepcopy__(self, memo):
        raise TypeError("no copy")


class AuxiliaryFirst(Base):
    def forward(self, x):
        y = self.stem(x)
        return [self.other(y), self.head(y), y]


class MoreInTraining(Base):
    def forward(self, x):
        y = self.stem(x)
        return {"aux": self.other(y), "out": self.head(y)} if self.training else self.head(y)


class AuxiliaryInTraining(Base):
    def __init__(self, classes):
        super().__init__(classes)
        self.norm, self.dropout = nn.BatchNorm2d(4), nn.Dropout(0.5)

    def forward(self, x):
        y = self.dropout(self.norm(self.stem(x)))
        return (self.other(y), self.head(y)) if self.training else self.head(y)


class NoiseInTraining(AuxiliaryInTraining):
    def forward(self, x):
        return super().forward(x + torch.rand_like(x) if self.training else x)


class ByAnotherName(Base):
    def __init__(self, num_classes):
        super().__init__(num_classes)

    def forward(self, x):
        return self.head(self.stem(x))
"""


SOURCE += """

class Mask(Base):
    def __init__(self, classes):
        super().__init__(1)


class Logit(Mask):
    def forward(self, x):
        return self.head(self.stem(x))


class Probability(Mask):
    def forward(self, x):
        return torch.sigmoid(self.head(self.stem(x)))


class Positive(Mask):
    def forward(self, x):
        return torch.relu(self.head(self.stem(x)))


class Silent(Mask):
    def forward(self, x):
        return 0 * self.head(self.stem(x))
"""


SOURCE += """

from dataclasses import dataclass


@dataclass
class Given:
    loss: object
    logits: torch.Tensor


class InADataclass(Base):
    def forward(self, x):
        return Given(None, self.head(self.stem(x)))


class Half(Base):
    def forward(self, x):
        return self.head(self.stem(x)).half()


class Lazy(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem, self.head = nn.LazyConv2d(4, 3, 4, 1), nn.LazyConv2d(classes, 1)

    def forward(self, x):
        return self.head(self.stem(x))


class Leaves(Base):
    def forward(self, x):
        raise SystemExit(3)


def parallel(classes):
    return nn.DataParallel(ByAnotherName(classes))
"""

ODD_ARGUMENTS = """

def of_nothing():
    return ByAnotherName(5)


def of_a_depth_too(classes, depth):
    return ByAnotherName(classes)


def of_outputs(outputs):
    return ByAnotherName(outputs)


def of_what_it_passes_on(**settings):
    return ByAnotherName(**settings)
"""


@pytest.fixture(autouse=True)
def on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_factories.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "users_factories", raising=False)


def prepared(factory: str, height: int = 64, width: int = 128, head: str | None = None) -> PreparedNetwork:
    size = Resolution(height, width)
    return network_from_factory(f"users_factories:{factory}", class_spec("5"), resolution=size, head=head)


def test_a_network_for_one_size_is_tried_at_that_size() -> None:
    assert prepared("Position").module.stride == 4
    with pytest.raises(NetworkError, match=r"fails on a float32 \(1, 3, 128, 128\) image.*Try: pass a --resolution"):
        prepared("Position", 128, 128)


@pytest.mark.parametrize("factory", ["Cached", "CannotBeCopied"])
def test_the_trial_leaves_no_trace_in_the_network(factory: str) -> None:
    module = prepared(factory).module
    assert module(torch.zeros(1, 3, 96, 96)).shape == (1, 5, 24, 24)


def test_the_output_that_the_user_names_is_the_logits() -> None:
    module = prepared("AuxiliaryFirst", head="1").module
    assert isinstance(module, FactoryNetwork)
    image = torch.rand(1, 3, 64, 128)
    users = module.named_weights
    assert torch.equal(module(image), users(image)[1])
    logits = module.training_logits(image)
    assert torch.equal(logits[0], users(image)[1]) and torch.equal(logits[1], users(image)[0]) and len(logits) == 2


def test_heads_that_training_adds_come_after_the_logits() -> None:
    module = prepared("MoreInTraining").module.train()
    image = torch.rand(2, 3, 64, 128)
    logits = module.training_logits(image)
    assert isinstance(module, FactoryNetwork)
    assert torch.equal(logits[0], module.named_weights(image)["out"]) and len(logits) == 2


def test_of_outputs_that_only_training_has_the_logits_are_those_that_evaluation_gives() -> None:
    module = prepared("AuxiliaryInTraining").module.train()
    image = torch.rand(2, 3, 64, 128)
    state, before = torch.random.get_rng_state(), {name: value.clone() for name, value in module.state_dict().items()}
    assert isinstance(module, FactoryNetwork)
    assert module._same_as_in_evaluation(image) == "1"
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(part.training for part in module.modules())
    torch.manual_seed(0)
    logits = module.training_logits(image)
    torch.manual_seed(0)
    users = module.named_weights(image)
    assert torch.equal(logits[0], users[1]) and torch.equal(logits[1], users[0]) and len(logits) == 2


def test_outputs_that_are_other_ones_in_training_are_refused_unless_one_is_named() -> None:
    module = prepared("NoiseInTraining").module.train()
    with pytest.raises(NetworkError, match="in training has several outputs that could be its logits"):
        module.training_logits(torch.rand(2, 3, 64, 128))
    asked = prepared("NoiseInTraining", head=0).module.train()
    assert len(asked.training_logits(torch.rand(2, 3, 64, 128))) == 2


def test_a_class_whose_argument_is_called_num_classes_is_a_factory() -> None:
    assert prepared("ByAnotherName").module(torch.zeros(1, 3, 64, 128)).shape == (1, 5, 16, 32)


@pytest.mark.parametrize("name", CLASSES_ARGUMENTS)
def test_the_number_of_classes_goes_by_the_names_that_collections_have(name: str, tmp_path: Path) -> None:
    with (tmp_path / "users_factories.py").open("a") as source:
        source.write(f"\n\ndef named({name}):\n    return ByAnotherName({name})\n")
    assert prepared("named").module(torch.zeros(1, 3, 64, 128)).shape == (1, 5, 16, 32)


@pytest.mark.parametrize("factory", ["of_nothing", "of_a_depth_too", "of_outputs", "of_what_it_passes_on"])
def test_a_call_that_fails_for_an_argument_leads_on(factory: str, tmp_path: Path) -> None:
    with (tmp_path / "users_factories.py").open("a") as source:
        source.write(ODD_ARGUMENTS)
    with pytest.raises(NetworkError, match=r"TypeError.*as classes, num_classes, .*, nc\. Try: write a function"):
        prepared(factory)


def test_a_type_error_of_another_kind_is_told_as_it_is(tmp_path: Path) -> None:
    with (tmp_path / "users_factories.py").open("a") as source:
        source.write("\n\ndef adds(classes):\n    return classes + 'five'\n")
    with pytest.raises(NetworkError, match=r"adds\(classes=5\) failed: TypeError: unsupported operand[^.]*$"):
        prepared("adds")


def test_a_size_that_is_no_multiple_of_the_stride_is_refused_with_one_that_is() -> None:
    with pytest.raises(SpecError, match=r"multiples of 4.*such as 64x128"):
        prepared("ByAnotherName", 62, 126).image_spec(Resolution(62, 126))


class Heads(NamedTuple):
    """What some networks return."""

    aux: torch.Tensor
    main: torch.Tensor


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (torch.zeros(1), [""]),
        ([torch.zeros(1), torch.zeros(1)], ["0", "1"]),
        ((torch.zeros(1), [torch.zeros(1), torch.zeros(1)]), ["0", "1.0", "1.1"]),
        ({"out": torch.zeros(1), "aux": (torch.zeros(1),)}, ["out", "aux.0"]),
        (Heads(torch.zeros(1), torch.zeros(1)), ["aux", "main"]),
        ((torch.zeros(1), None, 3), ["0"]),
        ("labels", []),
    ],
)
def test_every_tensor_has_a_name(outputs: object, names: list[str]) -> None:
    assert list(named_outputs(outputs)) == names


def mask(factory: str, threshold: float | None = None, classes: str = "2") -> PreparedNetwork:
    return network_from_factory(f"users_factories:{factory}", class_spec(classes), threshold=threshold)


@pytest.mark.parametrize(("factory", "threshold"), [("Logit", 0.0), ("Probability", 0.5)])
def test_one_channel_is_two_classes_by_what_its_values_are(factory: str, threshold: float) -> None:
    assert mask(factory).threshold == threshold
    assert mask(factory).output_spec("logits").threshold == threshold
    assert mask(factory, 0.25).threshold == 0.25


def test_one_channel_that_shows_nothing_needs_a_threshold() -> None:
    with pytest.raises(NetworkError, match="holds neither logits nor probabilities; got values from 0 to 0"):
        mask("Silent")
    assert mask("Silent", 0.5).threshold == 0.5


def test_one_channel_of_neither_needs_a_threshold() -> None:
    with pytest.raises(NetworkError, match="holds neither logits nor probabilities"):
        mask("Positive")
    assert mask("Positive", 1.0).threshold == 1.0


def test_one_channel_is_no_network_of_three_classes() -> None:
    with pytest.raises(NetworkError, match=r"no output of .* has the shape of logits"):
        mask("Logit", classes="3")


def test_a_channel_for_each_class_has_no_threshold() -> None:
    with pytest.raises(NetworkError, match="has a channel for each class"):
        mask("ByAnotherName", 0.5, "5")


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
@pytest.mark.parametrize("factory", ["InADataclass", "Half", "Lazy", "parallel"])
def test_a_network_however_it_is_built_gives_float32_logits(factory: str) -> None:
    logits = prepared(factory).module(torch.zeros(1, 3, 64, 128))
    assert (logits.shape, logits.dtype) == ((1, 5, 16, 32), torch.float32)


def test_checkpoints_use_the_names_without_data_parallel() -> None:
    assert not any(name.startswith("module.") for name in prepared("parallel").module.named_weights.state_dict())


def test_a_network_that_leaves_the_process_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"fails on .* image: SystemExit: 3"):
        prepared("Leaves")
