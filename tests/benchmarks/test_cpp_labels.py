"""The tracked ledger of pictures that C, C++ and Python label the same, and how it counts."""

from __future__ import annotations

import importlib.util
import itertools
import json
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("cpp_labels", ROOT / "benchmarks" / "cpp_labels.py")
assert _SPEC is not None and _SPEC.loader is not None
script = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(script)

LEDGER = json.loads(script.RESULT.read_text(encoding="utf-8"))
PICTURES = 101
"""Of CamVid's val split."""


def test_the_ledger_has_both_networks_in_fp32_and_int8_at_five_sizes_on_each_backend() -> None:
    backends = sorted({row["backend"] for row in LEDGER["rows"]})
    assert "openvino" in backends and set(backends) <= set(script.BACKENDS)
    files = [("fp32", ""), ("int8", "tensorrt")]
    expected = {
        (network, *file, backend, str(size))
        for network, backend, size in itertools.product(script.NETWORKS, backends, script.SIZES)
        for file in (*files, ("int8", backend))
    }
    keys = ("network", "precision", "placed_for", "backend", "size")
    found = [tuple(row[key] for key in keys) for row in LEDGER["rows"]]
    assert len(found) == len(set(found)) and set(found) == expected
    assert len({row["size"] for row in LEDGER["rows"]}) == 5


def test_every_picture_of_the_split_has_pythons_labels_in_c_and_in_cpp() -> None:
    for row in LEDGER["rows"]:
        assert row["pictures"] == row["identical_in_cpp"] == row["identical_in_c"] == PICTURES, row


def test_a_label_map_that_differs_in_one_pixel_or_in_its_size_is_not_counted() -> None:
    maps = [np.full((4, 5), label, np.uint8) for label in range(3)]
    other = maps[1].copy()
    other[3, 4] += 1
    assert script.identical(maps, [map.copy() for map in maps]) == 3
    assert script.identical(maps, [maps[0], other, maps[2][:3]]) == 1
