"""Each block alone in INT8, on a real network one of whose blocks is sabotaged."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from rtseg.quantization.block_losses import analyse
from rtseg.quantization.trials import Trials
from tests.observers import Recorder
from tests.staged_network import BLOCKS, EARLY, HEAD, LATE, PICTURES, STEM

TrialsOf = Callable[..., Trials]


@pytest.mark.parametrize("block", BLOCKS)
def test_the_sabotaged_block_is_ranked_first(trials_of: TrialsOf, block: str) -> None:
    result = analyse(trials_of(block), count=4)
    worst, *others = result.blocks
    assert worst.block.name == block
    assert all(worst.loss > 3 * entry.loss for entry in others)
    losses = [entry.loss for entry in others]
    assert losses == sorted(losses, reverse=True)


def test_each_block_is_measured_alone_and_all_together(trials_of: TrialsOf) -> None:
    trials = trials_of(LATE)
    result = analyse(trials, count=4)
    assert {entry.block.name: set(entry.block.operators) for entry in result.blocks} == BLOCKS
    for entry in result.blocks:
        alone = trials.measure_alone(entry.block.operators)
        assert (entry.drop, entry.interval) == (alone.drop, alone.drop_interval)
        assert (entry.agreement, entry.border_agreement) == (alone.agreement.share, alone.agreement.border_share)
    assert result.together == trials.measure()


def test_shares_are_of_the_work_of_the_whole_network(trials_of: TrialsOf) -> None:
    shares = {entry.block.name: entry.share for entry in analyse(trials_of(excluded=BLOCKS[HEAD]), count=3).blocks}
    work = {STEM: 3 * 16 * 16, EARLY: 2 * 16 * 32 * 9, LATE: 16 * 16 * 9, HEAD: 16 * 11}
    assert shares == pytest.approx({name: work[name] / sum(work.values()) for name in (STEM, EARLY, LATE)})


def test_excluded_operators_are_in_no_block(trials_of: TrialsOf) -> None:
    trials = trials_of(HEAD, excluded=BLOCKS[HEAD])
    result = analyse(trials, count=4)
    found = set().union(*(entry.block.operators for entry in result.blocks))
    assert found == set().union(*BLOCKS.values()) - BLOCKS[HEAD]
    # The sabotaged range is read by the head alone, so it does no harm.
    healthy = analyse(trials_of(excluded=BLOCKS[HEAD]), count=4)
    assert result == healthy


def test_without_labels_blocks_are_ranked_by_the_pixels_that_change(trials_of: TrialsOf) -> None:
    result = analyse(trials_of(STEM, labelled=False), count=4)
    labelled = {entry.block.name: entry for entry in analyse(trials_of(STEM), count=4).blocks}
    assert result.blocks[0].block.name == STEM
    for entry in result.blocks:
        assert entry.drop is entry.interval is None
        assert entry.agreement == labelled[entry.block.name].agreement
        assert entry.loss == 100 * (1 - entry.agreement) > 0
    assert [entry.loss for entry in result.blocks] == sorted((entry.loss for entry in result.blocks), reverse=True)


def test_progress_is_told_in_pictures_of_all_trials(trials_of: TrialsOf) -> None:
    trials = trials_of()
    trials.measure()  # asked again by the analysis, which then has nothing to run
    recorder = Recorder()
    analyse(trials, count=4, observer=recorder)
    total = (1 + len(BLOCKS)) * PICTURES
    assert recorder.steps[0] == (PICTURES, total) and recorder.steps[-1] == (total, total)
    assert recorder.steps == sorted(recorder.steps)


def test_blocks_for_onnx_runtime_are_those_that_are_int8_there(trials_of: TrialsOf) -> None:
    trials = trials_of(LATE, target="onnxruntime")
    result = analyse(trials, count=3)
    assert result.blocks[0].block.name == LATE
    assert {entry.block.name for entry in result.blocks} == {STEM, EARLY, LATE}  # the head's result is not rounded
    assert (result.target, result.together) == ("onnxruntime", trials.measure())


def test_more_blocks_than_operators_are_one_for_each(trials_of: TrialsOf) -> None:
    result = analyse(trials_of(limit=1), count=100)
    assert sorted(len(entry.block.operators) for entry in result.blocks) == [1] * 5
    assert {entry.block.name for entry in result.blocks} == {STEM, "early/early.0", "early/early.2", LATE, HEAD}


def test_json_is_plain_and_whole(trials_of: TrialsOf) -> None:
    result = analyse(trials_of(LATE), count=4)
    data = json.loads(json.dumps(result.to_json()))
    assert (data["target"], data["pictures"], data["labelled"]) == ("tensorrt", PICTURES, True)
    assert data["together"]["drop_points"] == result.together.drop
    assert [entry["block"] for entry in data["blocks"]] == [entry.block.name for entry in result.blocks]
    assert set(data["blocks"][0]["operators"]) == BLOCKS[LATE]
    assert data["blocks"][0]["drop_points"] == result.blocks[0].drop
    assert data["blocks"][0]["interval_points"] == list(result.blocks[0].interval or ())
