"""What a GPU check does with the cases, most valuable first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.gpu_check.cases import Case
from rtseg.errors import UnknownNameError

ENGINE_KINDS = ("fp16", "int8", "fp32")
"""An engine in that precision: built, audited, compared with ONNX Runtime, timed."""

LABELS = "labels"
"""The frame of the FP16 engine beside an FP16 engine that has both ends of the frame in its graph, in turns."""

SCORES = "scores"
"""An FP16 engine that ends with scores at full size, alone on the GPU: the boundary `network`, which papers time."""

TORCH = "torch"
"""The same frame in torch: eager, and in a CUDA graph; beside the FP16 engine where one interpreter has both."""

TORCH_COMPILE = "torch-compile"
"""The same frame compiled by torch. A task of its own, as compiling takes minutes."""

ORDER = ("fp16", LABELS, TORCH, "int8", "fp32", SCORES, TORCH_COMPILE)


@dataclass(frozen=True)
class Task:
    """One entry of the ledger: a kind of work on one case."""

    case: Case
    kind: str

    @property
    def name(self) -> str:
        """What the ledger calls it, such as affnet-camvid/1024x2048/fp16."""
        return f"{self.case.network}/{self.case.resolution}/{self.kind}"

    @property
    def needs(self) -> str:
        """The package that it cannot do without."""
        return "torch" if self.kind in (TORCH, TORCH_COMPILE) else "tensorrt"

    def runs_on(self, device: str) -> bool:
        """Return whether the task says something on that device, cuda or cpu."""
        return device == "cuda" or self.kind == TORCH


def tasks_of(cases: Sequence[Case]) -> list[Task]:
    """Return all tasks: the largest size first, there network by network as the cases come, affnet before others."""
    networks = list(dict.fromkeys(case.network for case in cases))

    def rank(case: Case) -> tuple[int, bool, int]:
        size = case.size
        other = case.network != lead_network(cases)
        return -size.height * size.width, other, networks.index(case.network)

    return [Task(case, kind) for case in sorted(cases, key=rank) for kind in ORDER]


def lead_network(cases: Sequence[Case]) -> str | None:
    """Return the name of the first case's network that is an affnet, of which most is expected; None without one."""
    return next((case.network for case in cases if case.checkpoint["network"] == "affnet"), None)


def task_named(name: str, cases: Sequence[Case]) -> Task:
    """Return the task of that name. Raises UnknownNameError."""
    tasks = {task.name: task for task in tasks_of(cases)}
    if name not in tasks:
        raise UnknownNameError("task", name, tasks)
    return tasks[name]
