"""The machine that the tests of the TensorRT runner run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest
from emulated_gpu.machine import EmulatedMachine
from kernels_on_cpu import KernelsOnCpu

MakeMachine = Callable[..., EmulatedMachine]


@pytest.fixture
def make_machine(monkeypatch: pytest.MonkeyPatch, kernels_on_cpu: KernelsOnCpu, tmp_path: Path) -> MakeMachine:
    """Put an emulated machine in place, the last one made being the one that is found."""

    def made(**options: Any) -> EmulatedMachine:
        return EmulatedMachine(monkeypatch, kernels_on_cpu, tmp_path, **options)

    return made


@pytest.fixture
def machine(make_machine: MakeMachine) -> EmulatedMachine:
    """The oldest TensorRT on a GPU whose work runs when it is waited for."""
    return make_machine()
