"""What is timed: a file behind a runner, or why there is no such file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rtseg.artifacts.artifact import Artifact
from rtseg.benchmarking.boundaries import boundaries_of
from rtseg.errors import CudaError, EngineError, MissingDependencyError, RtsegError

NO_DRIVER = "no driver"
_NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE."""


@dataclass(frozen=True)
class Obstacle:
    """Why something has no time: a word or two for a cell of a table, and the sentence of the error."""

    word: str
    reason: str

    @classmethod
    def of_making(cls, error: RtsegError) -> Obstacle:
        """Return what an error of making a file says."""
        return cls(_word(error) or ("not built" if isinstance(error, EngineError) else "not made"), str(error))

    @classmethod
    def of_running(cls, error: RtsegError) -> Obstacle:
        """Return what an error of loading or running a file says."""
        return cls(_word(error) or "does not run", str(error))


@dataclass(frozen=True)
class Subject:
    """A network in one precision behind one runner, and the interface of its graph.

    artifact is the file, None where obstacle says why none could be made. runner is a name of rtseg.runners.registry,
    None for the default of the file's kind. verdict is what the audit of an engine says (EngineVerdict.to_json), None
    for other files. file is the name of the file that the user gave, an artifact or a checkpoint; "" for none.
    """

    network: str
    weights: str
    resolution: str
    precision: str
    interface: str
    runner: str | None = None
    artifact: Artifact | None = None
    obstacle: Obstacle | None = None
    verdict: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""

    @classmethod
    def of(cls, artifact: Artifact, runner: str | None) -> Subject:
        """Return the subject that a file is, as its manifest describes it."""
        manifest = artifact.manifest
        return cls(
            manifest.network,
            manifest.weights,
            str(manifest.image.resolution),
            manifest.precision,
            manifest.output.interface,
            runner,
            artifact,
            options=manifest.options,
            file=artifact.path.name,
        )

    @property
    def boundaries(self) -> tuple[str, ...]:
        """The boundaries that its graph lets one time."""
        return boundaries_of(self.interface)

    @property
    def is_trained(self) -> bool:
        """Whether its accuracy means anything: that of random weights does not."""
        return not self.weights.startswith("random")


def _word(error: RtsegError) -> str:
    """Return what is missing here, "" where it is something else that went wrong."""
    if isinstance(error, CudaError):
        if error.code is None and "driver" in error.name:
            return NO_DRIVER
        return "no GPU" if error.code == _NO_DEVICE else "CUDA error"
    return "not installed" if isinstance(error, MissingDependencyError) else ""
