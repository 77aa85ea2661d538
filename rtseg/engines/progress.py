"""Follow the progress of a build, as TensorRT 10.0 and newer report it, and stop it between two steps."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtseg.runners.tensorrt.module import TensorRt

if TYPE_CHECKING:
    import tensorrt as trt


@dataclass
class _Phase:
    name: str
    parent: str | None
    steps: int
    done: int = 0


class BuildProgress:
    """The running phases of a build, and whether it should stop. Safe to use from any thread.

    A phase counts its steps, and may be nested in one step of another phase. heard is True once TensorRT has a monitor:
    only then does the build report progress and can be stopped.
    """

    def __init__(self) -> None:
        self.heard = False
        self._lock = threading.Lock()
        self._phases: dict[str, _Phase] = {}
        self._furthest = 0.0
        self._cancelled = threading.Event()

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """Begin a phase with that number of steps."""
        with self._lock:
            self._phases[name] = _Phase(name, parent, max(steps, 1))

    def step(self, name: str, step: int) -> bool:
        """Mark a step, counted from 0, as done; return whether the build should continue."""
        with self._lock:
            if name in self._phases:
                self._phases[name].done = step + 1
        return not self.cancelled

    def finish(self, name: str) -> None:
        """End a phase. The build may end it early, so not all of its steps need be done."""
        with self._lock:
            self._phases.pop(name, None)

    def cancel(self) -> None:
        """Stop the build at its next step."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether the build should stop."""
        return self._cancelled.is_set()

    @property
    def phase(self) -> str:
        """The name of the innermost phase, empty before the first."""
        with self._lock:
            return next(reversed(self._phases), "")

    def fraction(self) -> float:
        """Return the fraction done, from 0 to 1; it never decreases.

        A nested phase counts as part of the outer phase's current step.
        """
        with self._lock:
            roots = [phase for phase in self._phases.values() if phase.parent not in self._phases]
            self._furthest = max([self._furthest, *map(self._done, roots)])
            return self._furthest

    def _done(self, phase: _Phase) -> float:
        inner = [self._done(other) for other in self._phases.values() if other.parent == phase.name != other.name]
        return min(1.0, (phase.done + max(inner, default=0.0)) / phase.steps)


def tensorrt_monitor(
    trt: TensorRt, progress: BuildProgress, *, within: str | None = None
) -> trt.IProgressMonitor | None:
    """Return a monitor that reports TensorRT's progress to the progress object, None if TensorRT has none (before 10).

    within names the outer phase if this build is one of several.
    """
    if not hasattr(trt, "IProgressMonitor"):
        return None

    class ProgressMonitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.start(phase_name, parent_phase or within, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return progress.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            progress.finish(phase_name)

    progress.heard = True
    return ProgressMonitor()
