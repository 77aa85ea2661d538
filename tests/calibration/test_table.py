from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rtseg.artifacts.manifest import Manifest, read_manifest
from rtseg.calibration.table import CalibrationTable, PictureDigest, TensorRange
from rtseg.errors import CalibrationError
from rtseg.specs import ImageSpec


@pytest.fixture
def manifest(exported: Path) -> Manifest:
    return replace(read_manifest(exported, kind="onnx"), parent_sha256="c" * 64)


@pytest.fixture
def table(manifest: Manifest) -> CalibrationTable:
    return CalibrationTable(
        network=manifest.network,
        onnx_sha256=manifest.sha256,
        structure_sha256="s" * 64,
        parent_sha256=manifest.parent_sha256,
        image=manifest.image,
        method="percentile",
        percentile=99.99,
        data="camvid",
        split="train",
        pictures=(PictureDigest("b", "1" * 64), PictureDigest("a", "2" * 64)),
        ranges={"image": TensorRange(2.5, -2.0, 2.5), "output": TensorRange(0.1, 0.0, 1e-3)},
        convergence={"settled": True, "stages": []},
        tools={"numpy": "2"},
    )


def test_a_table_is_read_as_it_was_written(table: CalibrationTable, tmp_path: Path) -> None:
    table.write(tmp_path / "t.json")
    assert CalibrationTable.read(tmp_path / "t.json") == table


def test_a_table_has_a_line_for_each_range(table: CalibrationTable, tmp_path: Path) -> None:
    table.write(tmp_path / "t.json")
    assert '  "output": [0.1, 0.0, 0.001]' in (tmp_path / "t.json").read_text().splitlines()


def test_a_table_serves_its_own_file(table: CalibrationTable, manifest: Manifest) -> None:
    table.require_graph(manifest, "another structure, which then does not matter", "F.onnx")


def test_a_table_serves_another_export_of_the_same_checkpoint(table: CalibrationTable, manifest: Manifest) -> None:
    table.require_graph(replace(manifest, sha256="0" * 64), table.structure_sha256, "F.onnx")


@pytest.mark.parametrize(
    ("changed", "structure"),
    [({"sha256": "0" * 64}, "x" * 64), ({"sha256": "0" * 64, "parent_sha256": "d" * 64}, "s" * 64)],
)
def test_a_table_of_another_graph_is_refused(table: CalibrationTable, manifest: Manifest, changed, structure) -> None:
    with pytest.raises(CalibrationError, match=r"another graph than F\.onnx.*Try: run rtseg calibrate F\.onnx"):
        table.require_graph(replace(manifest, **changed), structure, "F.onnx")


def test_weights_from_nowhere_are_no_common_checkpoint(table: CalibrationTable, manifest: Manifest) -> None:
    orphan = replace(table, parent_sha256=None)
    with pytest.raises(CalibrationError, match="another graph"):
        orphan.require_graph(replace(manifest, sha256="0" * 64, parent_sha256=None), "s" * 64, "F.onnx")


def test_a_table_from_pictures_prepared_in_another_way_is_refused(table: CalibrationTable, manifest: Manifest) -> None:
    with pytest.raises(CalibrationError, match="prepared in another way"):
        table.require_graph(replace(manifest, image=ImageSpec(64, 128)), table.structure_sha256, "F.onnx")


@pytest.mark.parametrize(
    "change",
    [
        {"method": "guess"},
        {"ranges": {"image": [1.0, -1.0]}},
        {"ranges": {"image": [0.0, -1.0, 1.0]}},
        {"ranges": {"image": [float("nan"), -1.0, 1.0]}},
        {"ranges": {"image": [1.0, 2.0, 1.0]}},
        {"ranges": {"image": [1.0, 0.0, float("inf")]}},
        {"ranges": {"image": [1.0, 0.0, 10**400]}},
        {"ranges": {"image": [10**400, 0.0, 1.0]}},
        {"percentile": 10**400, "surplus": 1},
        {"image": {}},
        {"pictures": ["a"]},
        {"surplus": 1},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_damaged_table_is_refused(table: CalibrationTable, tmp_path: Path, change: dict) -> None:
    table.write(tmp_path / "t.json")
    facts = json.loads((tmp_path / "t.json").read_text())
    (tmp_path / "t.json").write_text(json.dumps({**facts, **change}))
    with pytest.raises(CalibrationError, match="damaged"):
        CalibrationTable.read(tmp_path / "t.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "rtseg-image-set/1"}'])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(CalibrationError, match="is not a calibration table"):
        CalibrationTable.read(tmp_path / "t.json")
