from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtseg.calibration.histograms import HistogramSet
from rtseg.calibration.state import (
    KEPT,
    STATES,
    CalibrationState,
    read_calibration_state,
    state_path,
    write_calibration_state,
)

NAMES = ("a", "b")


def histograms(seed: int) -> HistogramSet:
    made = HistogramSet(NAMES)
    for name in NAMES:
        made.add(name, np.random.default_rng(seed).standard_normal(100).astype(np.float32))
    return made


@pytest.fixture
def state() -> CalibrationState:
    return CalibrationState(5, histograms(0), {2: histograms(1), 4: histograms(2)})


def same(one: HistogramSet, other: HistogramSet) -> bool:
    return all(array.tobytes() == other.arrays()[name].tobytes() for name, array in one.arrays().items())


def test_a_state_is_read_as_it_was_written(state: CalibrationState, tmp_path: Path) -> None:
    write_calibration_state(tmp_path / "s.state", state)
    found = read_calibration_state(tmp_path / "s.state", NAMES, [2, 4])
    assert found is not None and found.done == 5
    assert same(found.histograms, state.histograms)
    assert list(found.stages) == [2, 4] and all(same(found.stages[n], state.stages[n]) for n in (2, 4))


def test_a_state_of_other_tensors_is_none(state: CalibrationState, tmp_path: Path) -> None:
    write_calibration_state(tmp_path / "s.state", state)
    assert read_calibration_state(tmp_path / "s.state", ("a", "c"), []) is None
    assert read_calibration_state(tmp_path / "s.state", ("b", "a"), []) is None


def test_a_state_that_lacks_a_stage_it_has_passed_is_none(state: CalibrationState, tmp_path: Path) -> None:
    write_calibration_state(tmp_path / "s.state", state)
    assert read_calibration_state(tmp_path / "s.state", NAMES, [3]) is None
    assert read_calibration_state(tmp_path / "s.state", NAMES, [2, 6]) is not None


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert read_calibration_state(tmp_path / "none.state", NAMES, []) is None


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_state_is_no_state(state: CalibrationState, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "s.state"
    if not path.exists():
        write_calibration_state(path, state)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    (tmp_path / "damaged.state").write_bytes(content)
    found = read_calibration_state(tmp_path / "damaged.state", NAMES, [2, 4])
    assert found is None


def test_the_name_of_a_state_tells_graphs_pictures_and_threads_apart(cache: Path) -> None:
    paths = {state_path(graph * 64, names, threads) for graph in "fe" for names in ("ab", "a") for threads in (1, 2)}
    assert len(paths) == 8
    assert {path.parent for path in paths} == {cache / "calibrations"}
    assert state_path("f" * 64, ["a", "b"], 1) in paths


def test_only_the_newest_states_stay(state: CalibrationState, cache: Path) -> None:
    paths = [state_path("f" * 64, [str(index)], 1) for index in range(KEPT + 4)]
    for index, path in enumerate(paths):
        write_calibration_state(path, state)
        os.utime(path, (1000 + index, 1000 + index))
    assert set((cache / "calibrations").iterdir()) == set(paths[4:])


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_what_is_whole_and_no_state_is_no_state(tmp_path: Path, content: bytes) -> None:
    STATES.write(tmp_path / "s.state", content)
    assert read_calibration_state(tmp_path / "s.state", NAMES, []) is None
