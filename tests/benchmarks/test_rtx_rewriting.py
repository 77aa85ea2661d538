"""The tracked ledger of what graph passes and network forms save, held against what issue and docs promise of them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rtseg.engines.rewriting.passes import PASSES
from rtseg.networks.registry import network_names
from rtseg.networks.spec import SegmentationNetwork
from rtseg.specs import Resolution

ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("rtx_rewriting", ROOT / "benchmarks" / "rtx_rewriting.py")
assert _SPEC is not None and _SPEC.loader is not None
script = importlib.util.module_from_spec(_SPEC)
sys.modules["rtx_rewriting"] = script
_SPEC.loader.exec_module(script)

LEDGER = json.loads(script.RESULT.read_text(encoding="utf-8"))
WITH_FORMS = ("affnet", "fast_scnn", "s2fpn18", "s2fpn34", "s2fpn34m")


def rows(**wanted: str) -> list[dict[str, Any]]:
    return [row for row in LEDGER["rows"] if all(row[key] == value for key, value in wanted.items())]


def row(network: str, graph: str, interface: str = "logits", resolution: str = "1024x2048") -> dict[str, Any]:
    (found,) = rows(network=network, graph=graph, interface=interface, resolution=resolution)
    return found


def test_every_network_has_its_rows_and_no_other_is_there() -> None:
    expected = {
        (name, graph, interface, resolution)
        for name in network_names()
        for graph in (("as written", "its form") if name in WITH_FORMS else ("as written",))
        for interface in ("logits", "labels")
        for resolution in ("512x1024", "1024x2048")
    }
    found = [(entry["network"], entry["graph"], entry["interface"], entry["resolution"]) for entry in LEDGER["rows"]]
    assert sorted(found) == sorted(expected)


def test_the_passes_of_the_ledger_are_those_of_today() -> None:
    assert LEDGER["passes"] == [entry.name for entry in PASSES]


def test_the_passes_never_add_a_byte() -> None:
    for entry in LEDGER["rows"]:
        assert entry["after"]["bytes"] <= entry["before"]["bytes"], entry


@pytest.mark.parametrize("interface", ["logits", "labels"])
def test_the_passes_alone_save_at_least_8_per_cent_of_the_bytes_in_the_median(interface: str) -> None:
    for resolution in ("512x1024", "1024x2048"):
        found = rows(resolution=resolution)
        assert script.median_saved(found, interface) >= 0.08


def test_affnet_needs_at_most_80_kernels_700_mb_and_66_per_cent_of_the_multiplications() -> None:
    plain, form = row("affnet", "as written"), row("affnet", "its form")
    assert form["after"]["kernels"] <= 80
    assert form["after"]["bytes"] <= 700e6
    assert form["after"]["macs"] <= 0.66 * plain["before"]["macs"]


def test_affnets_labels_move_at_most_10_mb_more_than_its_logits() -> None:
    logits, labels = (row("affnet", "its form", interface)["after"]["bytes"] for interface in ("logits", "labels"))
    assert labels <= min(logits + 10e6, 700e6)


def test_s2fpn18_needs_at_most_120_kernels_and_1200_mb() -> None:
    after = row("s2fpn18", "its form")["after"]
    assert (after["kernels"] <= 120, after["bytes"] <= 1200e6) == (True, True)


@pytest.mark.parametrize(
    "entry",
    [entry for entry in LEDGER["errors"] if entry["before"] is not None],
    ids=lambda entry: f"{entry['network']} {entry['weights']} {entry['graph']}",
)
def test_the_error_in_fp16_is_at_most_1_2_times_that_of_the_plain_export(entry: dict[str, Any]) -> None:
    assert entry["after"] <= 1.2 * entry["before"]


def test_only_random_weights_overflow_in_fp16() -> None:
    overflowing = {(entry["network"], entry["weights"]) for entry in LEDGER["errors"] if entry["before"] is None}
    assert overflowing == {(name, "random") for name in ("espnetv2", "s2fpn18", "s2fpn34", "s2fpn34m")}


def test_there_are_errors_for_every_graph_with_random_weights_and_those_of_every_shipped_checkpoint() -> None:
    expected = {
        (name, weights, graph)
        for name in network_names()
        for weights in ("random", *(path.stem for path in script.CHECKPOINTS.glob(f"{name}-*.safetensors")))
        for graph in (("as written", "its form") if name in WITH_FORMS else ("as written",))
    }
    found = [(entry["network"], entry["weights"], entry["graph"]) for entry in LEDGER["errors"]]
    assert sorted(found) == sorted(expected)


class Doubled(SegmentationNetwork):
    """Twice the picture."""

    stride = 1
    align_corners = True
    multiple = 4

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return images * 2


def test_a_network_as_written_has_no_form_and_the_contract_of_its_own() -> None:
    network = Doubled()
    plain = script.AsWritten(network)
    assert (plain.stride, plain.align_corners, plain.multiple) == (1, True, 4)
    assert plain.for_inference() is plain and plain.for_gpu(Resolution(16, 16)) is plain
    picture = torch.ones(1, 3, 4, 4)
    assert torch.equal(plain(picture), network(picture))


def test_one_picture_is_smooth_and_one_is_noise() -> None:
    smooth, noise = script.pictures(Resolution(64, 96))
    steps = [np.abs(np.diff(picture, axis=3)).mean() for picture in (smooth, noise)]
    assert smooth.shape == noise.shape == (1, 3, 64, 96)
    assert steps[0] < 0.2 < steps[1]
