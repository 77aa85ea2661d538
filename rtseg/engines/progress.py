"""How far a build is, as far as TensorRT tells (10.0 and newer), and the way to stop it between two steps."""

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
    """The phases of a build that have begun and not ended, and whether it is to stop. Safe to use from any thread.

    A phase counts its steps, and may lie within one step of another. heard is True once a monitor has been given to
    TensorRT: only then can the build tell how far it is, and be stopped.
    """

    def __init__(self) -> None:
        self.heard = False
        self._lock = threading.Lock()
        self._phases: dict[str, _Phase] = {}
        self._furthest = 0.0
        self._cancelled = threading.Event()

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """Take up a phase of so many steps."""
        with self._lock:
            self._phases[name] = _Phase(name, parent, max(steps, 1))

    def step(self, name: str, step: int) -> bool:
        """Count a step, given from 0, as done; return whether the build shall go on."""
        with self._lock:
            if name in self._phases:
                self._phases[name].done = step + 1
        return not self.cancelled

    def finish(self, name: str) -> None:
        """Drop a phase that has ended. The build may end it early, so its steps need not all be done."""
        with self._lock:
            self._phases.pop(name, None)

    def cancel(self) -> None:
        """Let the build stop at its next step."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether the build is to stop."""
        return self._cancelled.is_set()

    @property
    def phase(self) -> str:
        """The name of the innermost phase, empty before the first."""
        with self._lock:
            return next(reversed(self._phases), "")

    def fraction(self) -> float:
        """Return how much is done, from 0 to 1, never less than before.

        A phase within another counts as a part of the step that the outer one is in.
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
    """Return a monitor that tells the progress object what TensorRT does, None where TensorRT has none (before 10).

    within is the phase that the build is a step of, where it is one of several builds.
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
