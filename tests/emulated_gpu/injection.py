"""What CUDA is while a test runs: one driver for all of rtseg, by whichever name it is asked for."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, Callable

import pytest

from rtseg.errors import CudaError
from rtseg.runners.cuda import registry
from rtseg.runners.cuda.protocol import DeviceInfo


def put_opener(monkeypatch: pytest.MonkeyPatch, opener: Callable[[int], Any]) -> None:
    """Let that open a device, and nothing else."""
    for name in registry.OPENERS:
        monkeypatch.setitem(registry.OPENERS, name, opener)


def put_driver(monkeypatch: pytest.MonkeyPatch, driver: Any) -> None:
    """Let every device be that driver's."""
    put_opener(monkeypatch, lambda device: driver)


def put_device(monkeypatch: pytest.MonkeyPatch, device: DeviceInfo) -> None:
    """Let there be a GPU of which nothing is asked but what it is."""
    put_driver(monkeypatch, SimpleNamespace(name="none", version="0", device=device, active=nullcontext))


def put_no_cuda(monkeypatch: pytest.MonkeyPatch, error: CudaError) -> None:
    """Let there be no GPU, for that reason."""

    def refused(device: int) -> None:
        raise error

    put_opener(monkeypatch, refused)
