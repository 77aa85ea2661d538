"""The graph that the doctor takes through everything: canonical, with its contracts, the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rtseg.artifacts.manifest import read_manifest
from rtseg.graphs.canonical import read_canonical
from rtseg.graphs.contract import stated_contract
from rtseg.installation.probe import IMAGE, OUTPUT, PICTURE_SIZE, probe_picture, write_probe_graph
from rtseg.runners.loading import load


def test_the_graph_is_canonical_and_states_its_contracts(tmp_path: Path) -> None:
    path = write_probe_graph(tmp_path / "a.onnx")
    assert stated_contract(read_canonical(path), "a") == (IMAGE, OUTPUT)


def test_the_graph_has_its_manifest(tmp_path: Path) -> None:
    manifest = read_manifest(write_probe_graph(tmp_path / "a.onnx"), kind="onnx")
    assert (manifest.image, manifest.output, manifest.precision) == (IMAGE, OUTPUT, "fp32")


def test_the_graph_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = (write_probe_graph(tmp_path / name) for name in ("a.onnx", "b.onnx"))
    assert first.read_bytes() == second.read_bytes()


def test_the_picture_is_not_the_graphs_size_and_gets_several_labels(tmp_path: Path) -> None:
    picture = probe_picture()
    assert picture.shape == (*PICTURE_SIZE, 3) and (IMAGE.height, IMAGE.width) != PICTURE_SIZE
    with load(write_probe_graph(tmp_path / "a.onnx")) as segmenter:
        counts = np.bincount(segmenter(picture).ravel())
    assert np.sum(counts > picture.shape[0] * picture.shape[1] / 100) >= 3
