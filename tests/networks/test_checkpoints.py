"""Weights that others wrote: behind any wrapping they are found, and where two could be meant the user is asked."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rtseg.datasets.registry import class_spec
from rtseg.errors import CheckpointError
from rtseg.networks.checkpoints import network_from_checkpoint, network_from_weights, save_checkpoint
from rtseg.networks.factories import network_from_factory
from rtseg.networks.prepared import PreparedNetwork, build_network
from rtseg.specs import Resolution

SOURCE = """
from torch import nn


def net(classes):
    return nn.Sequential(nn.Conv2d(3, 4, 3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, classes, 1))


class Model(nn.Module):
    # its own attribute is called as wrappers are
    def __init__(self, num_classes):
        super().__init__()
        self.model = net(num_classes)

    def forward(self, x):
        return self.model(x)
"""


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedNetwork:
    return user_network("net", tmp_path, monkeypatch)


def user_network(factory: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedNetwork:
    (folder / "users_network.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(__import__("sys").modules, "users_network", raising=False)
    return network_from_factory(f"users_network:{factory}", class_spec("5"))


def weights_of(network: PreparedNetwork, seed: int) -> dict[str, Tensor]:
    """Return other values for the network's state_dict."""
    draws = torch.Generator().manual_seed(seed)
    state = network.module.named_weights.state_dict()
    return {
        name: torch.rand(value.shape, generator=draws) if value.is_floating_point() else value
        for name, value in state.items()
    }


def saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def holds(network: PreparedNetwork, weights: Mapping[str, Tensor]) -> bool:
    state = network.module.named_weights.state_dict()
    return all(torch.equal(state[name], value) for name, value in weights.items() if value.is_floating_point())


ENTRIES = ("state_dict", "model_state_dict", "model", "net", "ema", "network", "weights", "best")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")


@pytest.mark.parametrize("seed", range(20))
def test_weights_are_found_behind_every_wrapping(seed: int, network: PreparedNetwork, tmp_path: Path) -> None:
    draws = random.Random(seed)
    for case in range(12):
        weights = weights_of(network, 100 * seed + case)
        prefix = "".join(draws.choices(PREFIXES, k=draws.randrange(4)))
        content: Any = {prefix + name: value for name, value in weights.items()}
        entries = draws.choices(ENTRIES, k=draws.randrange(3))
        for entry in entries:
            content = {entry: content, "epoch": 3, "optimizer": {"state": {0: {"step": torch.zeros(1)}}}}
        found, report = network_from_weights(saved(content, tmp_path / "a.pth"), network)
        assert holds(found, weights), (prefix, entries)
        assert ("prefix" in report.reading, "entry" in report.reading) == (bool(prefix), bool(entries))


@pytest.mark.parametrize("seed", range(5))
def test_a_change_in_a_wrapped_file_is_refused(seed: int, network: PreparedNetwork, tmp_path: Path) -> None:
    draws = random.Random(seed)
    for _ in range(8):
        weights = weights_of(network, seed)
        change = draws.choice(["missing", "unknown", "shape"])
        name = draws.choice([name for name in weights if not name.endswith("num_batches_tracked")])
        if change == "missing":
            del weights[name]
        elif change == "unknown":
            weights["4.weight"] = torch.zeros(3)
        else:
            weights[name] = torch.zeros(7, *weights[name].shape)
        prefix = draws.choice(["", *PREFIXES])
        content = {"state_dict": {prefix + key: value for key, value in weights.items()}}
        with pytest.raises(CheckpointError, match="does not fit users_network:net"):
            network_from_weights(saved(content, tmp_path / "a.pth"), network)


@pytest.mark.parametrize("seed", range(5))
def test_of_two_sets_that_fit_the_user_picks_one(seed: int, network: PreparedNetwork, tmp_path: Path) -> None:
    draws = random.Random(seed)
    for case in range(6):
        first, second = weights_of(network, case), weights_of(network, case + 50)
        one, other = draws.sample(ENTRIES, 2)
        prefix = draws.choice(["", "module."])
        content = {one: first, other: {prefix + name: value for name, value in second.items()}}
        path = saved(content, tmp_path / "a.pth")
        with pytest.raises(CheckpointError, match=r"has several sets of weights that fit .* Try: pass --entry"):
            network_from_weights(path, network)
        assert holds(network_from_weights(path, network, entry=one)[0], first)
        assert holds(network_from_weights(path, network, entry=other)[0], second)


def test_two_entries_with_the_same_weights_are_one_set(network: PreparedNetwork, tmp_path: Path) -> None:
    weights = weights_of(network, 1)
    copies = {name: value.clone() for name, value in weights.items()}
    found, _ = network_from_weights(saved({"model": weights, "ema": copies}, tmp_path / "a.pth"), network)
    assert holds(found, weights)


def test_a_student_and_a_teacher_in_one_state_dict_are_two_sets(network: PreparedNetwork, tmp_path: Path) -> None:
    first, second = weights_of(network, 1), weights_of(network, 2)
    content = {**{f"model.{n}": v for n, v in first.items()}, **{f"ema_model.{n}": v for n, v in second.items()}}
    path = saved({"state_dict": content}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"got state_dict\.model, state_dict\.ema_model; expected one"):
        network_from_weights(path, network)
    assert holds(network_from_weights(path, network, entry="state_dict.ema_model")[0], second)


def test_what_a_loss_keeps_beside_the_network_is_left_out_and_said(network: PreparedNetwork, tmp_path: Path) -> None:
    weights = weights_of(network, 1)
    content = {f"model.{name}": value for name, value in weights.items()} | {"criterion.weight": torch.ones(5)}
    found, report = network_from_weights(saved({"state_dict": content}, tmp_path / "a.ckpt"), network)
    assert holds(found, weights)
    assert report.left_out == ("criterion.weight",)
    assert "1 name outside left out, such as criterion.weight" in found.weights


def test_an_unknown_prefix_is_taken_off_where_every_name_has_it(network: PreparedNetwork, tmp_path: Path) -> None:
    weights = weights_of(network, 1)
    path = saved({f"student.{name}": value for name, value in weights.items()}, tmp_path / "a.pth")
    assert holds(network_from_weights(path, network)[0], weights)


def test_a_part_of_a_larger_network_is_not_taken_for_the_whole(network: PreparedNetwork, tmp_path: Path) -> None:
    content = {f"head.{name}": value for name, value in weights_of(network, 1).items()} | {"stem.w": torch.ones(3)}
    with pytest.raises(CheckpointError, match="does not fit"):
        network_from_weights(saved(content, tmp_path / "a.pth"), network)


def test_a_part_that_was_compiled_or_parallel_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = user_network("Model", tmp_path, monkeypatch)
    weights = weights_of(network, 1)
    for wrapper in ("_orig_mod", "module"):
        content = {name.replace("model.", f"model.{wrapper}.", 1): value for name, value in weights.items()}
        found, report = network_from_weights(saved(content, tmp_path / "a.pth"), network)
        assert holds(found, weights)
        assert report.reading == f"{wrapper}. taken out of the names"


def test_a_networks_own_name_is_no_wrapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = user_network("Model", tmp_path, monkeypatch)
    weights = weights_of(network, 1)
    assert all(name.startswith("model.") for name in weights)
    found, report = network_from_weights(saved(weights, tmp_path / "a.pth"), network)
    assert holds(found, weights) and report.reading == ""
    content = {f"model.{name}": value for name, value in weights.items()}
    assert holds(network_from_weights(saved(content, tmp_path / "b.pth"), network)[0], weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_become_float32(
    dtype: torch.dtype, network: PreparedNetwork, tmp_path: Path
) -> None:
    weights = {name: value.to(dtype) for name, value in weights_of(network, 1).items() if value.is_floating_point()}
    save_file({f"module.{name}": value for name, value in weights.items()}, tmp_path / "a.safetensors")
    found, _ = network_from_weights(tmp_path / "a.safetensors", network)
    assert holds(found, {name: value.float() for name, value in weights.items()})


def test_what_profilers_leave_behind_is_dropped(network: PreparedNetwork, tmp_path: Path) -> None:
    weights = weights_of(network, 1)
    content = {**weights, "total_ops": torch.zeros(1), "0.total_params": torch.zeros(1)}
    assert holds(network_from_weights(saved(content, tmp_path / "a.pth"), network)[0], weights)


def test_an_entry_that_is_not_there_is_refused_with_those_that_are(network: PreparedNetwork, tmp_path: Path) -> None:
    path = saved({"model": weights_of(network, 1)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="got 'ema'; expected model"):
        network_from_weights(path, network, entry="ema")


@pytest.mark.parametrize("tensor", [torch.zeros(4, device="meta"), torch.eye(4)[0].to_sparse()], ids=["meta", "sparse"])
def test_a_tensor_without_plain_values_is_refused(tensor: Tensor, network: PreparedNetwork, tmp_path: Path) -> None:
    path = saved(weights_of(network, 1) | {"0.bias": tensor}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError):
        network_from_weights(path, network)


def test_a_registered_network_is_filled_the_same_way(tmp_path: Path) -> None:
    network = build_network("enet", class_spec("5"))
    weights = weights_of(network, 1)
    content = {"state_dict": {f"module.model.{name}": value for name, value in weights.items()}}
    assert holds(network_from_weights(saved(content, tmp_path / "a.pth"), network)[0], weights)


def test_a_checkpoint_of_a_users_network_has_the_users_names(network: PreparedNetwork, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_checkpoint(path, network, Resolution(64, 96))
    found = network_from_checkpoint(path, name="users_network:net")
    assert holds(found, network.module.named_weights.state_dict())
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1))
    names = {name for name in plain.state_dict() if not name.endswith("num_batches_tracked")}
    assert set(__import__("safetensors.torch").torch.load_file(path)) == names


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda value: value.to(torch.complex64), "holds another data type: 0.weight; got torch.complex64"),
        (lambda value: value.to(torch.int8), "holds another data type: 0.weight; got torch.int8"),
        (lambda value: value * float("nan"), "holds values that are not finite float32; got 0.weight"),
        (lambda value: value.double() + 1e300, "holds values that are not finite float32; got 0.weight"),
    ],
    ids=["complex", "integers", "NaN", "too large"],
)
def test_numbers_that_a_network_cannot_have_are_refused(
    change: Any, words: str, network: PreparedNetwork, tmp_path: Path
) -> None:
    weights = weights_of(network, 1)
    weights["0.weight"] = change(weights["0.weight"])
    with pytest.raises(CheckpointError) as refused:
        network_from_weights(saved(weights, tmp_path / "a.pth"), network)
    assert words in str(refused.value)


def test_a_network_beside_a_loss_is_found_under_any_name(network: PreparedNetwork, tmp_path: Path) -> None:
    weights = weights_of(network, 1)
    content = {f"unet.{name}": value for name, value in weights.items()} | {"train_loss.weight": torch.ones(5)}
    assert holds(network_from_weights(saved({"state_dict": content}, tmp_path / "a.ckpt"), network)[0], weights)


def test_a_part_of_a_larger_network_is_taken_where_the_user_names_it(network: PreparedNetwork, tmp_path: Path) -> None:
    weights = weights_of(network, 1)
    content = {f"head.{name}": value for name, value in weights.items()} | {"stem.w": torch.ones(3)}
    path = saved(content, tmp_path / "a.pth")
    assert holds(network_from_weights(path, network, entry="head")[0], weights)


def test_the_plain_set_beside_a_prefixed_one_can_be_picked(network: PreparedNetwork, tmp_path: Path) -> None:
    first, second = weights_of(network, 1), weights_of(network, 2)
    path = saved({"state_dict": {**first, **{f"ema.{n}": v for n, v in second.items()}}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="has several sets of weights"):
        network_from_weights(path, network)
    assert holds(network_from_weights(path, network, entry="state_dict.ema")[0], second)


def test_moments_of_an_optimizer_are_no_weights(network: PreparedNetwork, tmp_path: Path) -> None:
    weights = weights_of(network, 1)
    content = {"model": weights, "optimizer": {"exp_avg": weights_of(network, 2)}}
    assert holds(network_from_weights(saved(content, tmp_path / "a.pth"), network)[0], weights)
