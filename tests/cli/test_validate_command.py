"""`rtseg validate A --against B`: two files on the same pictures, as a gate."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtseg.artifacts.manifest import manifest_path
from rtseg.cli import main
from rtseg.images.files import read_image
from rtseg.runners.loading import load
from rtseg.runners.registry import DEFAULT_RUNNERS, runner_names

DEFAULT_RUNNER = DEFAULT_RUNNERS["onnx"]

Cli = Callable[..., Any]
Refused = Callable[..., str]

SHAPE = (48, 64)
VOID = 11


def export(path: Path, *arguments: object) -> Path:
    with pytest.raises(SystemExit) as done:
        main(["export", "affnet", "--images", "0", "-o", str(path), *map(str, arguments)])
    assert done.value.code == 0
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """affnet as `exported`, but for other random weights."""
    path = tmp_path_factory.mktemp("other") / "other.onnx"
    return export(path, "--classes", "camvid", "--resolution", "64x64", "--seed", 1)


@pytest.fixture(scope="module")
def camvid(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of coloured squares in CamVid's layout; the truth is what `exported` makes of them."""
    root = tmp_path_factory.mktemp("camvid")
    for folder in ("val", "valannot"):
        (root / folder).mkdir()
    random = np.random.default_rng(3)
    with load(exported, threads=1) as segmenter:
        for name in "abc":
            squares = random.integers(0, 256, (SHAPE[0] // 8, SHAPE[1] // 8, 3), np.uint8)
            image = np.kron(squares, np.ones((8, 8, 1), np.uint8))
            cv2.imwrite(str(root / "val" / f"{name}.png"), image)
            truth = segmenter(read_image(root / "val" / f"{name}.png"))
            cv2.imwrite(str(root / "valannot" / f"{name}.png"), truth)
    return root


def facts_of(outcome: Any) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(outcome.out)
    return facts


@pytest.fixture
def against(cli: Cli, exported: Path, other: Path, camvid: Path) -> Cli:
    """Hold the other file against `exported` on the labelled pictures."""
    return lambda *arguments: cli("validate", other, "--against", exported, "--data", f"camvid:{camvid}", *arguments)


@pytest.fixture
def unlabelled(cli: Cli, exported: Path, other: Path, camvid: Path) -> Cli:
    """Hold the other file against `exported` on the pictures alone."""
    data = f"images:{camvid / 'val'}"
    return lambda *arguments: cli("validate", other, "--against", exported, "--data", data, *arguments)


def test_both_files_have_the_accuracy_that_validate_finds_of_each_alone(
    cli: Cli, against: Cli, exported: Path, other: Path, camvid: Path
) -> None:
    together = facts_of(against("--json"))
    for path, side in ((other, "candidate"), (exported, "reference")):
        alone = facts_of(cli("validate", path, "--data", f"camvid:{camvid}", "--json"))
        assert together[side]["accuracy"] == {key: alone[key] for key in together[side]["accuracy"]}
        for key in ("artifact", "precision", "resolution", "runner", "device"):
            assert together[side][key] == alone[key]
    assert together["reference"]["accuracy"]["miou"] == 1
    lost = 1 - together["candidate"]["accuracy"]["miou"]
    assert together["difference_points"] == pytest.approx(-100 * lost)
    assert (together["pictures"], together["gate"]) == (3, None)


def test_validate_alone_tells_precision_and_runner(cli: Cli, affnet_file: Path, camvid: Path) -> None:
    facts = facts_of(cli("validate", affnet_file, "--data", f"camvid:{camvid}", "--runner", "onnxruntime", "--json"))
    assert (facts["precision"], facts["runner"], facts["resolution"]) == ("fp32", "onnxruntime", "64x64")
    text = cli("validate", affnet_file, "--data", f"camvid:{camvid}").out
    assert text.splitlines()[-1].startswith("fp32, computed on CPU") and text.endswith("by onnxruntime\n")


def test_the_precision_is_the_one_of_the_manifest(cli: Cli, export_copy: Path, camvid: Path) -> None:
    manifest = json.loads(manifest_path(export_copy).read_text())
    manifest_path(export_copy).write_text(json.dumps({**manifest, "precision": "int8"}))
    data = ("--data", f"camvid:{camvid}", "--json")
    assert facts_of(cli("validate", export_copy, *data))["precision"] == "int8"
    assert facts_of(cli("validate", export_copy, "--against", export_copy, *data))["candidate"]["precision"] == "int8"


def test_the_text_has_every_class_thin_first_the_totals_and_the_agreement(against: Cli) -> None:
    outcome = against()
    assert (outcome.code, outcome.err) == (0, "")
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in outcome.out.splitlines() if "│" in line]
    border = [float(row[1].rstrip(" %")) for row in rows if row[1] not in ("", "-")]
    assert len(border) > 2 and border == sorted(border, reverse=True)
    assert [row[0] for row in rows][-3:] == ["mIoU", "pixel accuracy", "mean class accuracy"]
    assert rows[-3][3] == "100.00 %" and rows[-3][5].startswith("-") and " to -" in rows[-3][6]
    assert "pixels that agree: " in outcome.out and "within 3 pixels of a border in B" in outcome.out
    assert "gate" not in outcome.out


def test_a_kept_gate_exits_with_0_and_says_so(against: Cli) -> None:
    outcome = against("--max-drop", 100, "--min-agreement", 0)
    assert (outcome.code, outcome.err) == (0, "")
    assert "gate: passed (at most 100 points of mIoU lost, at least 0 % of the pixels agree)" in outcome.out


def test_a_broken_gate_prints_the_table_then_one_line_and_exits_with_1(against: Cli) -> None:
    outcome = against("--max-drop", 0.5)
    assert outcome.code == 1
    assert "mIoU" in outcome.out and "gate: FAILED (at most 0.5 points of mIoU lost)" in outcome.out
    assert outcome.err.startswith("rtseg: error: the mIoU dropped too far; got ") and outcome.err.count("\n") == 1
    assert "expected at most 0.5. Classes that lost more: " in outcome.err


def test_a_broken_gate_tells_the_classes_that_lost_more_worst_first(against: Cli) -> None:
    outcome = against("--max-drop", 0.5, "--json")
    facts = facts_of(outcome)
    lost = {entry["name"]: -entry["difference_points"] for entry in facts["classes"] if entry["difference_points"]}
    expected = sorted((name for name, loss in lost.items() if loss > 0.5), key=lambda name: -lost[name])
    assert len(expected) > 1
    told = outcome.err.partition(" (see ")[0].partition("lost more: ")[2].split(", ")
    assert told == [f"{name} {lost[name]:.2f}" for name in expected]
    assert list(facts["gate"]["classes_that_lost_more"]) == expected


def test_json_of_a_broken_gate_is_whole_and_the_exit_code_1(against: Cli) -> None:
    outcome = against("--max-drop", 0.5, "--min-agreement", 100, "--json")
    gate = facts_of(outcome)["gate"]
    assert outcome.code == 1
    assert (gate["passed"], gate["max_drop_points"], gate["min_agreement_percent"]) == (False, 0.5, 100)
    assert len(gate["failures"]) == 2 and all(failure in outcome.err for failure in gate["failures"])


def test_a_gate_on_agreement_works_with_labels_too(against: Cli) -> None:
    outcome = against("--min-agreement", 99.5)
    assert outcome.code == 1
    assert "too few pixels agree with the reference" in outcome.err


def test_a_gate_that_few_pictures_cannot_be_sure_of_passes_and_says_so(against: Cli) -> None:
    outcome = against("--max-drop", 100, "--limit", 1)
    assert (outcome.code, outcome.err) == (0, "")
    assert "one picture gives no interval" in outcome.out
    assert "gate: passed (at most 100 points of mIoU lost); too few pictures (1) to be sure of the mIoU" in outcome.out
    low, high = facts_of(against("--json"))["interval_points"]
    between = (-low - facts_of(against("--json"))["difference_points"]) / 2
    assert -high < between < -low
    unsure = against("--max-drop", between)
    assert unsure.code == 0
    assert (
        f"too few pictures (3) to be sure of the mIoU, which may have dropped by {-high:.2f} to {-low:.2f}"
        in unsure.out
    )


def test_the_same_file_twice_passes_the_strictest_gate(cli: Cli, exported: Path, camvid: Path) -> None:
    outcome = cli(
        "validate", exported, "--against", exported, "--data", f"camvid:{camvid}",
        "--max-drop", 0, "--min-agreement", 100, "--json",
    )  # fmt: skip
    facts = facts_of(outcome)
    assert outcome.code == 0
    assert (facts["difference_points"], facts["interval_points"], facts["agreement"]) == (0, [0, 0], 1)
    assert facts["gate"]["passed"] and facts["gate"]["certain"]


def test_files_of_different_resolutions_are_compared_and_that_is_said(
    cli: Cli, affnet_file: Path, camvid: Path, tmp_path: Path
) -> None:
    larger = export(tmp_path / "larger.onnx", "--classes", "camvid", "--resolution", "96x128")
    outcome = cli("validate", larger, "--against", affnet_file, "--data", f"camvid:{camvid}")
    assert outcome.code == 0
    assert "A sees pictures at 96x128, B at 64x64" in outcome.out


def test_without_labels_agreement_is_shown_and_called_that(unlabelled: Cli) -> None:
    outcome = unlabelled("--min-agreement", 0)
    assert outcome.code == 0
    assert "no labels: agreement with B, not accuracy" in outcome.out
    assert "IoU of" not in outcome.out and "mIoU" not in outcome.out
    assert "gate: passed (at least 0 % of the pixels agree)" in outcome.out


def test_agreement_without_labels_is_that_with_labels(unlabelled: Cli, against: Cli) -> None:
    bare, labelled = facts_of(unlabelled("--json")), facts_of(against("--json"))
    assert (bare["labelled"], bare["split"], bare["candidate"]["accuracy"]) == (False, None, None)
    assert (bare["difference_points"], bare["interval_points"]) == (None, None)
    for key in ("agreement", "border_agreement", "border_pixels", "pixels", "pictures"):
        assert bare[key] == labelled[key]
    # The truth of these pictures is the reference's map: the candidate's IoU is its agreement.
    accuracy = labelled["candidate"]["accuracy"]["class_iou"]
    assert {entry["name"]: entry["agreement"] for entry in bare["classes"]} == accuracy


def test_a_broken_gate_without_labels_exits_with_1(unlabelled: Cli) -> None:
    outcome = unlabelled("--min-agreement", 99, "--json")
    assert outcome.code == 1
    assert facts_of(outcome)["gate"]["passed"] is False
    assert outcome.err.startswith("rtseg: error: too few pixels agree with the reference; got ")


def test_a_largest_drop_without_labels_is_refused_before_any_file_is_read(refused: Refused) -> None:
    message = refused("validate", "no.onnx", "--against", "none.onnx", "--data", "images:nowhere", "--max-drop", "1")
    assert message.startswith("without labels there is no mIoU") and "Try: use --min-agreement" in message


def test_pictures_without_labels_alone_are_refused_with_the_way_out(
    refused: Refused, exported: Path, camvid: Path
) -> None:
    message = refused("validate", exported, "--data", f"images:{camvid / 'val'}")
    assert (
        message
        == f"images:{camvid / 'val'} has no labels to validate on. Try: pass --against B to measure agreement with B"
    )


def test_files_of_different_classes_are_refused(refused: Refused, exported: Path, camvid: Path, tmp_path: Path) -> None:
    streets = export(tmp_path / "streets.onnx", "--classes", "camvid+void", "--resolution", "64x64")
    message = refused("validate", streets, "--against", exported, "--data", f"camvid:{camvid}")
    assert message.startswith(
        "candidate and reference have different classes; got camvid with 12 classes; expected camvid with 11"
    )


def test_a_dataset_of_other_classes_is_refused(refused: Refused, camvid: Path, tmp_path: Path) -> None:
    path = export(tmp_path / "voc.onnx", "--classes", "voc", "--resolution", "64x64")
    message = refused("validate", path, "--against", path, "--data", f"camvid:{camvid}")
    assert message.startswith("the artifact and the dataset have different classes; got camvid with 11 classes")
    assert message.endswith("Try: pass --data voc:PATH")


def test_for_classes_of_no_dataset_the_hint_is_what_works(
    cli: Cli, refused: Refused, exported: Path, camvid: Path, tmp_path: Path
) -> None:
    path = export(tmp_path / "three.onnx", "--classes", "3", "--resolution", "64x64")
    message = refused("validate", path, "--data", f"camvid:{camvid}")
    assert message.startswith("the artifact and the dataset have different classes; got camvid with 11 classes")
    assert "or run rtseg validate FILE --against OTHER --data images:FOLDER" in message
    assert "Try: pass data whose classes have these names, such as own:PATH" in message
    assert cli("validate", path, "--against", path, "--data", f"images:{camvid / 'val'}").code == 0


@pytest.mark.parametrize("name", [name for name in runner_names("onnx") if not name.startswith("onnxruntime-")])
def test_each_file_has_the_runner_that_was_asked_for(cli: Cli, exported: Path, camvid: Path, name: str) -> None:
    pytest.importorskip(name.partition("-")[0])
    command = ("validate", exported, "--against", exported, "--data", f"camvid:{camvid}", "--json")
    mixed = facts_of(cli(*command, "--against-runner", name))
    assert (mixed["candidate"]["runner"], mixed["reference"]["runner"]) == (DEFAULT_RUNNER, name)
    assert mixed["agreement"] > 0.9  # random weights leave classes close together, and bfloat16 has 8 bits
    both = facts_of(cli(*command, "--runner", name))
    assert (both["candidate"]["runner"], both["reference"]["runner"]) == (name, name)


def test_a_dataset_without_a_labelled_pixel_is_refused(
    refused: Refused, exported: Path, other: Path, camvid: Path, tmp_path: Path
) -> None:
    shutil.copytree(camvid, tmp_path / "void")
    for path in (tmp_path / "void" / "valannot").iterdir():
        cv2.imwrite(str(path), np.full(SHAPE, VOID, np.uint8))
    message = refused(
        "validate", other, "--against", exported, "--data", f"camvid:{tmp_path / 'void'}", "--max-drop", 1
    )
    assert message.startswith("no pixel of the 3 pictures is labelled")


def test_a_missing_reference_is_refused(refused: Refused, exported: Path, camvid: Path, tmp_path: Path) -> None:
    message = refused("validate", exported, "--against", tmp_path / "none.onnx", "--data", f"camvid:{camvid}")
    assert message.startswith(f"cannot read {tmp_path / 'none.onnx'}")


def test_a_bound_that_is_no_number_is_refused(refused: Refused) -> None:
    message = refused("validate", "a.onnx", "--against", "b.onnx", "--data", "streets", "--max-drop", "nan")
    assert message == "the bound of the drop is out of range; got nan; expected 0 to 100"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--max-drop", "1"),
        ("--min-agreement", "99"),
        ("--against-runner", "onnxruntime"),
        ("--against", "b.onnx", "--max-drop", "-1"),
        ("--against", "b.onnx", "--min-agreement", "101"),
        ("--against", "b.onnx", "--against-runner", "frobnicate"),
        ("--runner", "frobnicate"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told(misused: Refused, arguments: tuple[str, ...]) -> None:
    assert misused("validate", "a.onnx", "--data", "streets", *arguments).startswith("Error: ")
