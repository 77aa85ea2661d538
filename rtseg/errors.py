"""The exceptions rtseg raises on purpose.

    RtsegError                     every error that a user can cause and mend
    ├── SpecError                  an invalid resolution, colour order, class list, ...
    ├── UnknownNameError           a network, dataset, split or interface that does not exist
    ├── ArtifactError              a file rtseg wrote, or should have written
    │   ├── ManifestError          the sidecar is missing, unreadable or describes another file
    │   ├── OnnxError              not an ONNX file, or not one that keeps the canonical contract
    │   ├── CheckpointError        weights that cannot be read, or that belong to another network
    │   ├── EngineError            an engine that cannot be built, read or trusted
    │   └── WriteError             the disk is full, the folder is missing or may not be written
    ├── InputError                 pictures, labels and folders given by the user
    │   ├── ImageError             an image or video that cannot be read, or has the wrong shape
    │   └── DatasetError           a folder that lacks the layout, or labels outside the class range
    ├── NetworkError               a user's own network that does not meet the requirements
    ├── ParityError                an exported file that disagrees with the network it came from
    ├── RunnerError                a backend that refused to load or to run a graph
    │   └── CudaError              CUDA cannot be used, or one of its calls failed
    ├── TrainingError              a training run that cannot go on
    ├── CalibrationError           pictures or values that give no ranges, or a table of another graph
    ├── QuantizationError          a change of precision that cannot be made, or would change nothing
    ├── AccuracyLossError          an artifact that lost more accuracy than was allowed
    └── MissingDependencyError     an optional package that is not installed

Each message says what is wrong, what it got, what it expected and what to try. The command line prints it as one
line, which ends with the error's page, and exits with 1. Any other exception that escapes is a bug and keeps its
traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST_PART = 1000


def _brief(part: object) -> str:
    """Return a part of a message without its middle where it is long: a word of a damaged file may be millions."""
    text = str(part)
    return text if len(text) <= _LONGEST_PART else f"{text[: _LONGEST_PART - 300]} ... {text[-200:]}"


class RtsegError(Exception):
    """Anything a user can cause and can mend."""

    def __init__(self, what: str, *, got: object = None, expected: object = None, hint: str = "") -> None:
        """Compose one message from the four things a reader needs; empty parts are left out."""
        parts = [_brief(what)]
        if got is not None:
            parts.append(f"got {_brief(got)}")
        if expected is not None:
            parts.append(f"expected {_brief(expected)}")
        message = "; ".join(parts)
        if hint:
            message += f". Try: {_brief(hint)}"
        super().__init__(message)

    @property
    def page(self) -> str:
        """The part of the documentation about errors of this type: its usual causes, and what mends them."""
        return f"docs/troubleshooting.md#{type(self).__name__.lower()}"


class SpecError(RtsegError):
    """A value that no image, output or network contract allows."""


class UnknownNameError(RtsegError):
    """A name that is in no registry. The message lists what is, closest first, and never guesses."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        closest = difflib.get_close_matches(str(name), names, n=1)
        hint = f"use {closest[0]!r}" if closest else ""
        super().__init__(
            f"unknown {kind}", got=repr(name), expected=f"one of {', '.join(names)}" if names else "none", hint=hint
        )


class ArtifactError(RtsegError):
    """A file that rtseg wrote, or should have written."""


class ManifestError(ArtifactError):
    """The sidecar manifest is missing, unreadable or describes another file."""


class OnnxError(ArtifactError):
    """Not an ONNX file, or not one that keeps the canonical contract."""


class CheckpointError(ArtifactError):
    """Weights that cannot be read, or that belong to another network."""


class EngineError(ArtifactError):
    """An engine that cannot be built, read or trusted."""


class WriteError(ArtifactError):
    """A file could not be written; nothing is left of the attempt."""


class InputError(RtsegError):
    """Pictures, labels and folders that the user named."""


class ImageError(InputError):
    """An image or video that cannot be read, or whose shape is no picture's."""


class DatasetError(InputError):
    """A folder that lacks a dataset's layout, or labels outside its class range."""


class NetworkError(RtsegError):
    """A network, most likely the user's own, that breaks the contract of networks."""


class ParityError(RtsegError):
    """An exported file that disagrees with the network it was made from."""


class RunnerError(RtsegError):
    """A backend that refused to load or to run a graph."""


class CudaError(RunnerError):
    """CUDA cannot be used, or one of its calls failed.

    doing says what was being done. name and code are CUDA's own, as CUDA_ERROR_OUT_OF_MEMORY and 2; code is None and
    name is a phrase if no CUDA call returned a code.
    """

    def __init__(
        self, doing: str, *, name: str, code: int | None = None, expected: object = None, hint: str = ""
    ) -> None:
        self.doing, self.name, self.code, self.hint = doing, name, code, hint
        got = name if code is None else f"{name} ({code})"
        super().__init__(f"CUDA cannot {doing}", got=got, expected=expected, hint=hint)


class TrainingError(RtsegError):
    """A training run that cannot start or cannot go on."""


class CalibrationError(RtsegError):
    """Pictures or values that give no ranges, or a calibration table of another graph."""


class QuantizationError(RtsegError):
    """A change of precision that cannot be made, or would change nothing."""


class AccuracyLossError(RtsegError):
    """An artifact that lost more accuracy than was allowed."""


class MissingDependencyError(RtsegError):
    """An optional package that is not installed."""

    def __init__(self, package: str, *, extra: str, purpose: str, hint: str = "") -> None:
        """hint follows the command that installs the extra, where another extra may be the one that is wanted."""
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed",
            hint=f"run pip install 'rtseg[{extra}]'{hint}",
        )


def first_line(error: BaseException) -> str:
    """Return the first line of a foreign exception's message that says something, at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def is_interrupt(error: BaseException) -> bool:
    """Return whether an exception came of a Ctrl-C: what is interrupted while it is imported may raise ImportError."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
