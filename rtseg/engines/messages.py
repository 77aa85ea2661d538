"""TensorRT's own words: kept while it works, and translated into a cause and what to do next."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtseg.errors import EngineError

if TYPE_CHECKING:
    import tensorrt as trt

INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)
"""TensorRT's severities. The numbers are those of its C++ interface in every version."""

KEPT = 20
"""Lines of each severity that are kept. What goes wrong first stands first, so the first ones are."""


@dataclass(frozen=True)
class Translation:
    """What a line of TensorRT's means, and what to try. In both, {0}, {1}, ... are the groups of the pattern."""

    pattern: str
    cause: str
    hint: str


TRANSLATIONS = (
    Translation(
        r"CUDA initialization failure with error:? ?35\b|CUDA driver version is insufficient",
        "the NVIDIA driver is too old for this TensorRT's CUDA",
        "a newer driver, or a TensorRT built for an older CUDA (tensorrt-cu12)",
    ),
    Translation(
        r"CUDA initialization failure with error:? ?(\d+)|no CUDA-capable device is detected",
        "CUDA cannot be used here",
        "nvidia-smi, which says whether driver and GPU are there",
    ),
    Translation(
        r"OutOfMemory|out of memory|Requested amount of GPU memory|insufficient memory on requested size",
        "not enough GPU memory",
        "--workspace 1024, a smaller resolution, or a GPU on which nothing else runs",
    ),
    Translation(
        r"Could not find any implementation for node (.+?) due to insufficient workspace",
        "no kernel for {0} fits into the workspace",
        "a larger --workspace",
    ),
    Translation(
        r"Could not find any implementation for node (\{.*?\}|[^\s()]+?)\.?(?:[\s)]|$)",
        "TensorRT has no kernel for {0} in this precision on this GPU",
        "rtseg quantize --exclude with that layer, --precision fp16, or a newer TensorRT",
    ),
    Translation(
        r"No importer registered for op: (\w+)",
        "TensorRT's ONNX parser does not know the operator {0}",
        "rtseg export again, which writes what TensorRT 8.5 parses, or a newer TensorRT",
    ),
    Translation(
        r"getPluginCreator could not find plugin:? (\w+)|could not find plugin (?:creator )?(\w+)",
        "the plugin {0} is not there",
        "an export without it; rtseg's own need none",
    ),
    Translation(
        r"Plugin not found|IPluginCreator not found|Cannot deserialize plugin",
        "a plugin that the graph or engine asks for is not there",
        "an export without it; rtseg's own need none",
    ),
    Translation(
        r"expecting library version (\S+) got (\S+?),",
        "the engine is of TensorRT {1}, and this is {0}",
        "rtseg build, with the TensorRT that will run it",
    ),
    Translation(
        r"Version tag does not match|not compatible with this version of TensorRT",
        "the engine is of another version of TensorRT",
        "rtseg build, with the TensorRT that will run it",
    ),
    Translation(
        r"incompatible device, expecting compute (\S+) got compute (\S+?),",
        "the engine is for a GPU of compute capability {1}, and this one has {0}",
        "rtseg build, on the GPU that will run it",
    ),
    Translation(
        r"[Mm]agic tag does not match|kMAGIC_TAG|Archive signature|kENGINE_SIGNATURE",
        "this is not an engine of TensorRT, or it is damaged",
        "rtseg build again",
    ),
    Translation(
        r"Parameter check failed(?: at: [^,]*)?,? condition: ((?:[^()]|\([^()]*\))+?)(?:\. In |\)|$)",
        "TensorRT does not allow this: it needs {0}",
        "another build profile, or a report of this line",
    ),
    Translation(
        r"Parameter check failed", "TensorRT does not allow this", "another build profile, or a report of this line"
    ),
)
"""The most telling first: want of memory is what many of the others come from."""

_PREFIX = re.compile(r"^(?:\d+: )?(?:\[[^\]]*\.\w+::[^\]]*\] ?)?(?:Error Code \d+: )?")


_CAUSE_OF_ERRORS = "No importer registered for op"
"""Told as mere information, while the error that follows speaks of a plugin that nobody asked for."""


class LogRecord:
    """What TensorRT said, by severity; the first KEPT lines of each that is at least a warning."""

    def __init__(self) -> None:
        self._lines: dict[int, deque[str]] = {severity: deque() for severity in (INTERNAL_ERROR, ERROR, WARNING)}

    def add(self, severity: int, message: str) -> None:
        """Take one line. Called from TensorRT's threads, so it must not raise."""
        lines = self._lines.get(ERROR if _CAUSE_OF_ERRORS in message else severity)
        if lines is not None and len(lines) < KEPT and message not in lines:
            lines.append(message)

    @property
    def errors(self) -> tuple[str, ...]:
        """The errors, in the order in which they came, internal ones last."""
        return (*self._lines[ERROR], *self._lines[INTERNAL_ERROR])

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings."""
        return tuple(self._lines[WARNING])

    def clear(self) -> None:
        """Forget everything, before another piece of work."""
        for lines in self._lines.values():
            lines.clear()


def tensorrt_logger(record: LogRecord) -> trt.ILogger:
    """Return a logger to give to TensorRT that writes into the record and prints nothing."""
    import tensorrt as trt

    class RecordingLogger(trt.ILogger):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # pybind11 wants the base named, not super()

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            record.add(int(severity), msg)

    return RecordingLogger()


def shortened(message: str) -> str:
    """Return a line without the source file and error number that TensorRT begins it with."""
    return " ".join(_PREFIX.sub("", message.strip(), count=1).split())


def translated(messages: Iterable[str]) -> tuple[str, str, str] | None:
    """Return the cause, what to try, and the line that told, or None where no line is known."""
    lines = list(messages)
    for translation in TRANSLATIONS:
        for line in lines:
            if found := re.search(translation.pattern, line):
                groups = [group for group in found.groups() if group is not None]
                return translation.cause.format(*groups), translation.hint, shortened(line)
    return None


def engine_error(what: str, messages: Iterable[str], *, hint: str = "") -> EngineError:
    """Return the error to raise where TensorRT refused: the cause as far as it is known, and TensorRT's own words.

    hint is what to try where no line is known.
    """
    lines = list(messages)
    known = translated(lines)
    if known is None:
        told = "; ".join(map(shortened, lines[:3])) or "no message"
        return EngineError(what, got=f"from TensorRT: {told}", hint=hint)
    cause, next_command, line = known
    return EngineError(f"{what}: {cause}", got=f"from TensorRT: {line}", hint=next_command)
