from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gpu_check.interpreters import Findings, Interpreter, child_variables, chosen, probe, to_json
from rtseg.errors import RtsegError

ROOT = str(Path(__file__).resolve().parents[3])
NOTHING = Findings("3.9.2", None, "no driver", None, None, "no torch", None)
ENGINES = replace(NOTHING, tensorrt="8.5.3.1", gpu="NVIDIA H200 (sm_90)")
TORCH = replace(NOTHING, torch="2.11.0", torch_gpu="NVIDIA H200")
BOTH = replace(ENGINES, torch="2.11.0", torch_gpu="NVIDIA H200")


def named(**found: Findings) -> list[Interpreter]:
    return [Interpreter(name, one) for name, one in found.items()]


def test_the_first_interpreter_that_has_it_is_taken() -> None:
    interpreters = named(own=NOTHING, bundle=ENGINES, host=TORCH, later=ENGINES)
    assert chosen(interpreters, "tensorrt") == interpreters[1]
    assert chosen(interpreters, "torch") == interpreters[2]
    assert chosen(interpreters[:1], "tensorrt") is None


def test_one_that_has_both_is_taken_before_one_that_has_either() -> None:
    interpreters = named(bundle=ENGINES, host=TORCH, both=BOTH)
    assert chosen(interpreters, "tensorrt") == chosen(interpreters, "torch") == interpreters[2]


def test_torch_without_a_gpu_serves_the_cpu_only_and_engines_never() -> None:
    (cpu_only,) = interpreters = named(own=replace(NOTHING, torch="2.13.0+cpu"))
    assert chosen(interpreters, "torch") is None
    assert chosen(interpreters, "torch", "cpu") == cpu_only
    assert not BOTH.has("tensorrt", "cpu")


def test_a_checkout_is_on_the_path_of_every_interpreter() -> None:
    for own in (True, False):
        variables = child_variables(own=own, variables={"PYTHONPATH": "/elsewhere", "LD_LIBRARY_PATH": "/cuda"})
        assert variables == {"PYTHONPATH": f"{ROOT}{os.pathsep}/elsewhere", "LD_LIBRARY_PATH": "/cuda"}


def test_what_a_launcher_set_up_for_its_own_python_is_kept_from_others() -> None:
    launched = {"PYTHONHOME": "/b/usr", "PYTHONPATH": "/b/site", "LD_LIBRARY_PATH": "/b/lib:/b/stub", "PATH": "/bin"}
    assert child_variables(own=False, variables=launched) == {"PYTHONPATH": ROOT, "PATH": "/bin"}
    own = child_variables(own=True, variables=launched)
    assert own == {**launched, "PYTHONPATH": f"{ROOT}{os.pathsep}/b/site"}


def test_the_machines_own_folders_stay_behind_those_of_a_launcher() -> None:
    paths = {"PYTHONPATH": "/b/site:/theirs", "LD_LIBRARY_PATH": "/b/lib:/usr/local/nvidia/lib64:/bb"}
    others = child_variables(own=False, variables={"PYTHONHOME": "/b/usr", **paths})
    assert others == {"PYTHONPATH": f"{ROOT}:/theirs", "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64:/bb"}
    at_the_root = child_variables(own=False, variables={"PYTHONHOME": "/usr", **paths})
    assert at_the_root["LD_LIBRARY_PATH"] == paths["LD_LIBRARY_PATH"]


def test_what_is_no_python_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(RtsegError, match=r"no-such-python does not start; got .*No such file"):
        probe(str(tmp_path / "no-such-python"))
    with pytest.raises(RtsegError, match=r"false cannot run benchmarks\.gpu_check; got exit code 1"):
        probe("/bin/false")


def test_an_interpreter_without_numpy_says_so(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(RtsegError, match=r"got ModuleNotFoundError: No module named 'numpy'"):
        probe(str(bare))


def test_what_was_found_is_told_without_paths() -> None:
    assert "/opt/secret" not in str(to_json([Interpreter("/opt/secret/python", ENGINES)]))
