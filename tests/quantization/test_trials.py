"""A trial: the file that would be written, run on the pictures, and gone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rtseg.accuracy.reference_run import compare
from rtseg.datasets.registry import open_dataset
from rtseg.errors import QuantizationError
from rtseg.quantization.files import int8_graph, write_derived
from rtseg.quantization.trials import Trials
from rtseg.runners.loading import load
from tests.observers import Recorder
from tests.staged_network import BLOCKS, EARLY, HEAD, LATE, PICTURES, STEM, Staged

TrialsOf = Callable[..., Trials]
Listing = Callable[[Path], list[str]]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files are written to."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("target", ["tensorrt", "onnxruntime", "openvino"])
def test_a_trial_measures_the_file_without_what_is_excluded_and_what_is_kept(
    trials_of: TrialsOf, staged: Staged, tmp_path: Path, target: str
) -> None:
    trials = trials_of(excluded=BLOCKS[HEAD], target=target)
    excluded = BLOCKS[HEAD] | BLOCKS[LATE]
    model, census = int8_graph(trials.original, trials.table, target=target, excluded=excluded)
    assert not census.int8 & excluded and census.int8 >= BLOCKS[STEM]
    path = tmp_path / "written.onnx"
    write_derived(trials.original, model, path, precision="int8")
    with load(path, threads=1) as candidate, load(staged.onnx, threads=1) as reference:
        expected = compare(candidate, reference, open_dataset(staged.data, "val"))
    assert trials.measure(BLOCKS[LATE]) == expected
    assert expected.drop is not None and expected.drop > 0
    assert trials.measure() != expected


def test_a_block_alone_has_all_others_in_floating_point(trials_of: TrialsOf) -> None:
    trials = trials_of()
    others = set().union(*BLOCKS.values()) - BLOCKS[EARLY]
    assert trials.measure_alone(BLOCKS[EARLY]) is trials.measure(others)
    _, census = int8_graph(trials.original, trials.table, target="tensorrt", excluded=others)
    assert census.int8 >= BLOCKS[EARLY] and not census.int8 & others


def test_a_block_alone_is_measured_alike_for_tensorrt_and_onnx_runtime(trials_of: TrialsOf) -> None:
    for operators in BLOCKS.values():
        alone = [trials_of(target=target).measure_alone(operators) for target in ("tensorrt", "onnxruntime")]
        assert alone[0] == alone[1]


def test_a_block_alone_is_placed_for_openvino_by_its_own_rules(trials_of: TrialsOf) -> None:
    trials = trials_of(target="openvino")
    others = set().union(*BLOCKS.values()) - BLOCKS[EARLY]
    assert trials.measure_alone(BLOCKS[EARLY]) is trials.measure(others)
    assert trials.measure() != trials_of(target="tensorrt").measure()


def test_what_was_measured_is_not_run_again(trials_of: TrialsOf) -> None:
    trials = trials_of(excluded=BLOCKS[HEAD])
    recorder = Recorder()
    first = trials.measure(BLOCKS[LATE], observer=recorder)
    assert recorder.steps == [(number, PICTURES) for number in range(1, PICTURES + 1)]
    assert trials.measure(BLOCKS[LATE] | BLOCKS[HEAD], observer=recorder) is first
    assert len(recorder.steps) == PICTURES


def test_no_file_of_a_trial_is_left(trials_of: TrialsOf, scratch: Path, files_in: Listing) -> None:
    trials = trials_of()
    trials.measure(BLOCKS[STEM])

    class Looking(Recorder):
        def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
            assert files_in(scratch)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trials.measure(BLOCKS[LATE], observer=Looking())
    assert list(scratch.iterdir()) == []


def test_only_the_first_pictures_are_taken_where_there_is_a_limit(trials_of: TrialsOf) -> None:
    trials = trials_of(limit=2)
    assert len(trials) == 2
    assert trials.measure().pictures == 2


def test_exclusions_that_leave_nothing_are_refused_before_any_picture_is_run(trials_of: TrialsOf) -> None:
    recorder = Recorder()
    with pytest.raises(QuantizationError, match="would become INT8"):
        trials_of(excluded=set().union(*BLOCKS.values()), observer=recorder)
    assert recorder.steps == []
