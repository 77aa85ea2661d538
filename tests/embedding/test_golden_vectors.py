"""The golden vectors are what rtseg gives today, in C++ and in NumPy, and what its rules say read plainly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtseg.artifacts.manifest import read_manifest
from rtseg.frame import native_library
from rtseg.frame.host_ends import HostEnds
from rtseg.runners.loading import load
from rtseg.specs import COLOUR_ORDERS, FITS, INTERFACES, tensor_shapes
from tests.embedding import plain_reading
from tests.embedding.golden_format import (
    GOLDEN,
    PACKS,
    PIXEL_BYTES,
    Case,
    little_endian,
    numbered_classes,
    read_cases,
    rows_with_gaps,
    written_in,
)
from tests.embedding.golden_vectors import write

CASES = list(read_cases())
MODELS = sorted(path.name for path in GOLDEN.glob("*.onnx"))


def cases_of(kind: str) -> list[Case]:
    found = [case for case in CASES if case["kind"] == kind]
    assert found
    return found


@pytest.fixture(params=["native", "numpy"])
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core that the ends run in."""
    if request.param == "numpy":
        monkeypatch.setenv(native_library.CHOICE, "numpy")
    elif native_library.core() is None:
        pytest.skip(native_library.why_none())


def labels_of(case: Case, ends: HostEnds, result: np.ndarray) -> bytes:
    labels = ends.labels(result, height=case.number("image_height"), width=case.number("image_width"))
    return rows_with_gaps(labels, case.number("labels_row_bytes"))


def ends_of_input(case: Case) -> HostEnds:
    output = {"interface": case["interface"], "classes": "2", "stride": "1", "align_corners": "0", "threshold": "none"}
    return HostEnds(case.image_spec, Case(case.name, output, GOLDEN).output_spec)


def ends_of_labels(case: Case) -> HostEnds:
    image = {**case.fields, "colour_order": "RGB", "scale": "1", "mean": "0 0 0", "std": "1 1 1", "padding": "114"}
    return HostEnds(Case(case.name, image, GOLDEN).image_spec, case.output_spec)


def result_of(case: Case) -> np.ndarray:
    if case["interface"] == "labels":
        return np.frombuffer(case.content("result"), np.uint8).reshape(1, case.number("result_height"), -1)
    shape = [case.number(f"result_{side}") for side in ("channels", "height", "width")]
    return np.frombuffer(case.content("result"), "<f4").astype(np.float32).reshape(1, *shape)


@pytest.mark.usefixtures("core")
def test_every_image_becomes_the_networks_input_of_its_case() -> None:
    wrong = [
        case.name
        for case in cases_of("input")
        if little_endian(ends_of_input(case).graph_input(case.picture.rgb)) != case.content("input")
    ]
    assert wrong == []


@pytest.mark.usefixtures("core")
def test_every_result_becomes_the_label_map_of_its_case() -> None:
    wrong = [
        case.name
        for case in cases_of("labels")
        if labels_of(case, ends_of_labels(case), result_of(case)) != case.content("labels")
    ]
    assert wrong == []


def test_the_rules_read_plainly_give_the_same_inputs() -> None:
    assert [case.name for case in cases_of("input") if plain_reading.network_input(case) != case.content("input")] == []


def test_the_rules_read_plainly_give_the_same_labels() -> None:
    wrong = [
        case.name
        for case in cases_of("labels")
        if rows_with_gaps(plain_reading.label_map(case), case.number("labels_row_bytes")) != case.content("labels")
    ]
    assert wrong == []


@pytest.mark.parametrize("runner", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("model", MODELS)
def test_a_model_gives_its_labels_whatever_runs_it(model: str, runner: str) -> None:
    pytest.importorskip(runner)
    cases = [case for case in cases_of("model") if case["model"] == model]
    assert len(cases) == len(PIXEL_BYTES)
    with load(GOLDEN / model, runner=runner, threads=1) as segmenter:
        for case in cases:
            tensor = segmenter.tensor(case.picture.rgb)
            assert little_endian(tensor) == case.content("input"), case.name
            result = np.array(segmenter.runner.infer(tensor))
            kept = np.frombuffer(case.content("output"), "u1" if result.dtype == np.uint8 else "<f4")
            assert np.abs(result.reshape(-1) - kept.astype(result.dtype)).max() <= float(case["output_tolerance"])
            labels = rows_with_gaps(segmenter(case.picture.rgb), case.number("labels_row_bytes"))
            assert labels == case.content("labels"), case.name


@pytest.mark.usefixtures("core")
def test_the_kept_output_of_a_model_becomes_the_label_map_of_its_case() -> None:
    for case in cases_of("model"):
        manifest = read_manifest(GOLDEN / case["model"], kind="onnx")
        ends, (_, shape) = HostEnds(manifest.image, manifest.output), tensor_shapes(manifest.image, manifest.output)
        kept = np.frombuffer(case.content("output"), np.uint8 if ends.gives_labels else "<f4").reshape(shape)
        assert labels_of(case, ends, kept) == case.content("labels"), case.name


def test_the_tracked_files_are_what_the_writer_writes(tmp_path: Path) -> None:
    write(tmp_path)
    assert written_in(tmp_path) == written_in(GOLDEN)
    differing = {name for name in written_in(GOLDEN) if (GOLDEN / name).read_bytes() != (tmp_path / name).read_bytes()}
    assert differing <= {PACKS["output"]}  # which is of the machine that it was made on
    assert (GOLDEN / PACKS["output"]).stat().st_size == (tmp_path / PACKS["output"]).stat().st_size


def test_the_files_are_small() -> None:
    assert sum(path.stat().st_size for path in GOLDEN.iterdir()) < 1_500_000


@pytest.mark.parametrize("model", MODELS)
def test_a_model_lies_beside_its_manifest_which_says_nothing_of_the_machine(model: str) -> None:
    manifest = read_manifest(GOLDEN / model, kind="onnx")
    assert manifest.output.classes == numbered_classes(len(manifest.output.classes))
    assert manifest.tools == {"python": "3", "rtseg": "golden vectors"}


def values_of(kind: str, key: str) -> set[str]:
    return {case[key] for case in cases_of(kind)}


def test_the_cases_hold_every_rule_that_a_manifest_can_state() -> None:
    assert values_of("input", "colour_order") == set(COLOUR_ORDERS)
    assert values_of("labels", "interface") == set(INTERFACES)
    assert values_of("input", "interface") == {"logits", "labels"}  # for scores the input is that for logits
    assert values_of("input", "format") == values_of("model", "format") == set(PIXEL_BYTES)
    for kind in ("input", "labels"):
        assert values_of(kind, "fit") == set(FITS)
    assert values_of("labels", "stride") == {"1", "2", "4", "8", "16", "32"}
    assert values_of("labels", "align_corners") == {"0", "1"}
    assert values_of("labels", "classes") >= {"2", "11", "19", "256"}
    assert len(values_of("labels", "threshold")) > 5


def test_pictures_lie_in_memory_in_every_way() -> None:
    pictures = [case.picture for case in cases_of("input")]
    for form, pixel in PIXEL_BYTES.items():
        laid_out = {
            (shown.row_bytes < 0, abs(shown.row_bytes) > pixel * shown.width, shown.offset > 0)
            for shown in pictures
            if shown.format == form
        }
        upturned, region = (True, False, True), (False, True, True)
        assert laid_out >= {(False, False, False), (False, True, False), upturned, region}
