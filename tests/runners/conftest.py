"""The machine that the tests of the TensorRT runner run on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.emulated_gpu.driver import RTX_4090
from tests.emulated_gpu.machine import EmulatedMachine
from tests.native.kernels_on_cpu import KernelsOnCpu

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


@pytest.fixture
def make_rtx(make_machine: MakeMachine) -> Iterator[MakeMachine]:
    """Put a machine in place whose GPU is an RTX 4090, and which has TensorRT for RTX, in its newest version, alone."""
    all_made: list[EmulatedMachine] = []

    def made(rtx: str = "rtx-1.7", **options: Any) -> EmulatedMachine:
        all_made.append(make_machine(**{"version": None, "device": RTX_4090, "rtx": rtx, **options}))
        return all_made[-1]

    yield made
    assert [told for machine in all_made for told in machine.rtx.too_early] == []


@pytest.fixture
def rtx(make_rtx: MakeMachine) -> EmulatedMachine:
    """The newest TensorRT for RTX on an RTX 4090 whose work runs when it is waited for."""
    return make_rtx()


@pytest.fixture(autouse=True)
def warned() -> Iterator[list[str]]:
    """The warnings that the runners log. One that the test does not take off the list fails it."""
    texts: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("rtseg.runners")
    logger.addHandler(handler)
    yield texts
    logger.removeHandler(handler)
    assert texts == []
