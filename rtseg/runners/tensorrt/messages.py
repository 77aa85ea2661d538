"""Record TensorRT's log messages, and translate them into a cause and advice."""

from __future__ import annotations

import functools
import re
import threading
import weakref
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rtseg.errors import EngineError, RtsegError, RunnerError
from rtseg.runners.tensorrt.module import TensorRt

if TYPE_CHECKING:
    import tensorrt as trt

Refusal = TypeVar("Refusal", bound=RtsegError)

INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)
"""TensorRT's severities. The numbers are those of its C++ interface in every version."""

KEPT = 20
"""Number of lines kept per severity: the first ones, because the first error is usually the cause."""


@dataclass(frozen=True)
class Translation:
    """The meaning of a TensorRT message, and what to try. In both, {0}, {1}, ... are the groups of the pattern."""

    pattern: str
    cause: str
    hint: str


_CUDA_FAILS = r"CUDA initialization failure with error:? ?"
"""Followed by CUDA's number. A missing driver also gives 35."""

TRANSLATIONS = (
    Translation(
        _CUDA_FAILS + r"35\b|CUDA driver version is insufficient",
        "there is no NVIDIA driver, or one too old for this TensorRT's CUDA",
        "run nvidia-smi, which shows the driver; install a newer one, or a TensorRT for an older CUDA; "
        "start a container with --gpus all",
    ),
    Translation(
        _CUDA_FAILS + r"100\b|no CUDA-capable device is detected",
        "CUDA sees no GPU",
        "run nvidia-smi -L, which lists the GPUs; unset CUDA_VISIBLE_DEVICES; start a container with --gpus all",
    ),
    Translation(
        _CUDA_FAILS + r"34\b|CUDA driver is a stub library",
        "the CUDA toolkit's stub library hides the driver",
        "take the toolkit's stubs folder out of LD_LIBRARY_PATH",
    ),
    Translation(
        _CUDA_FAILS + r"80[34]\b",
        "the parts of the NVIDIA driver have different versions",
        "restart the machine, or load the kernel module of the installed driver: nvidia-smi says which is running",
    ),
    Translation(
        r"OutOfMemory|out of memory|Requested amount of GPU memory|insufficient memory on requested size|"
        + _CUDA_FAILS
        + r"2\b",
        "not enough GPU memory",
        "use --workspace 1024, a smaller resolution, or a GPU on which nothing else runs",
    ),
    Translation(
        _CUDA_FAILS + r"\d+",
        "CUDA cannot be used here",
        "run nvidia-smi, which shows whether driver and GPU are present",
    ),
    Translation(
        r"Could not find any implementation for node (.+?) due to insufficient workspace",
        "no kernel for {0} fits into the workspace",
        "use a larger --workspace",
    ),
    Translation(
        r"Could not find any implementation for node (\{.*?\}|[^\s()]+?)\.?(?:[\s)]|$)",
        "TensorRT has no kernel for {0} in this precision on this GPU",
        "use rtseg quantize --exclude with that layer, --precision fp16, or a newer TensorRT",
    ),
    Translation(
        r"Cannot compile operation '([^']*)' for (\w+) \(SM(\d+)(\d)\): (.*?)\. In ",
        "compute capability {2}.{3} does not support {0} ({4})",
        "use --precision fp16, or another --compute-capability",
    ),
    Translation(
        r"MyelinCheckException: cudnn_impl\.cpp:\d+: CHECK\(dtype == myelinTypeFloat",
        "this release of TensorRT for RTX has no INT8 convolution",
        "run pip install 'tensorrt-rtx>=1.7', or use --precision fp16",
    ),
    Translation(
        r"no tactics to implement the operation within workspace limit",
        "no kernel fits into the workspace",
        "use a larger --workspace",
    ),
    Translation(
        r"No importer registered for op: (\w+)",
        "TensorRT's ONNX parser does not know the operator {0}",
        "run rtseg export again, which writes what TensorRT 8.5 parses, or install a newer TensorRT",
    ),
    Translation(
        r"getPluginCreator could not find plugin:? (\w+)|could not find plugin (?:creator )?(\w+)",
        "the plugin {0} is missing",
        "export the network without plugins; rtseg's own exports need none",
    ),
    Translation(
        r"Plugin not found|IPluginCreator not found|Cannot deserialize plugin",
        "a plugin that the graph or engine needs is missing",
        "export the network without plugins; rtseg's own exports need none",
    ),
    Translation(
        r"expecting library version (\S+) got (\S+?),",
        "the engine was built with TensorRT {1}, and this is {0}",
        "run rtseg build with the TensorRT that will run the engine",
    ),
    Translation(
        r"Version tag does not match|not compatible with this version of TensorRT",
        "the engine was built with another version of TensorRT",
        "run rtseg build with the TensorRT that will run the engine",
    ),
    Translation(
        r"incompatible device, expecting compute (\S+) got compute (\S+?),",
        "the engine is for a GPU of compute capability {1}, and this one has {0}",
        "run rtseg build on the GPU that will run the engine",
    ),
    Translation(
        r"[Mm]agic tag does not match|kMAGIC_TAG|Archive signature|kENGINE_SIGNATURE",
        "this is not a TensorRT engine, or it is damaged",
        "run rtseg build again",
    ),
    Translation(
        r"Parameter check failed(?: at: [^,]*)?,? condition: ((?:[^()]|\([^()]*\))+?)(?:\. In |\)|$)",
        "TensorRT does not allow this: it needs {0}",
        "use another build profile, or report this line",
    ),
    Translation(
        r"Parameter check failed", "TensorRT does not allow this", "use another build profile, or report this line"
    ),
)
"""The most specific first: many of the others follow from a lack of memory."""

_PREFIX = re.compile(r"^(?:\d+: )?(?:\[[^\]]*\.\w+::[^\]]*\] ?)?(?:Error Code \d+: )?")


_CAUSES_OF_ERRORS = ("No importer registered for op", "CUDA initialization failure with error")
"""Messages that TensorRT 8 logs as information or warning although they are why the build fails.

After the first an error about an unrelated plugin follows; after the second none at all.
"""


class LogRecord:
    """TensorRT's messages by severity; the first KEPT of each severity from warning up."""

    def __init__(self) -> None:
        self._lines: dict[int, deque[str]] = {severity: deque() for severity in (INTERNAL_ERROR, ERROR, WARNING)}

    def add(self, severity: int, message: str) -> None:
        """Add one message. Called from TensorRT's threads, so it must not raise."""
        cause = any(text in message for text in _CAUSES_OF_ERRORS)
        lines = self._lines.get(min(severity, ERROR) if cause else severity)
        if lines is not None and len(lines) < KEPT and message not in lines:
            lines.append(message)

    @property
    def errors(self) -> tuple[str, ...]:
        """The errors in order of arrival, internal ones last."""
        return (*self._lines[ERROR], *self._lines[INTERNAL_ERROR])

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings."""
        return tuple(self._lines[WARNING])

    def clear(self) -> None:
        """Forget all messages, before another piece of work."""
        for lines in self._lines.values():
            lines.clear()


def tensorrt_logger(trt: TensorRt, record: LogRecord) -> trt.ILogger:
    """Return the logger for a TensorRT product; it prints nothing and writes into the record while the record lives.

    There is one logger per product, and it lives until the process ends. TensorRT uses the first logger that it gets
    for everything, and accepts no other while any object made with that one exists: a second logger would receive
    nothing, and the first must not be freed too early. So every living record receives all of TensorRT's messages.
    """
    with _LISTENING:
        _RECORDS[:] = [weakref.ref(record), *(known for known in _RECORDS if known() not in (None, record))]
    return _logger_of(trt.ILogger)


_RECORDS: list[weakref.ref[LogRecord]] = []
_LISTENING = threading.Lock()


@functools.cache
def _logger_of(base: type[trt.ILogger]) -> trt.ILogger:
    class RecordingLogger(base):  # type: ignore[misc, valid-type, unused-ignore]
        def __init__(self) -> None:
            base.__init__(self)  # pybind11 needs the base class by name, not super()

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            for reference in tuple(_RECORDS):
                record = reference()
                if record is not None:
                    record.add(int(severity), msg)

    return RecordingLogger()


def shortened(message: str) -> str:
    """Return a message without the source file and error number at its beginning."""
    return " ".join(_PREFIX.sub("", message.strip(), count=1).split())


def translated(messages: Iterable[str]) -> tuple[str, str, str] | None:
    """Return the cause, what to try, and the message that matched, or None if no message is known."""
    lines = list(messages)
    for translation in TRANSLATIONS:
        for line in lines:
            if found := re.search(translation.pattern, line):
                groups = [group for group in found.groups() if group is not None]
                return translation.cause.format(*groups), translation.hint, shortened(line)
    return None


def engine_error(what: str, messages: Iterable[str], *, hint: str = "") -> EngineError:
    """Return the error for a graph or an engine that TensorRT refused, with its own messages and their meaning.

    hint is the advice if no message is known.
    """
    return _refusal(EngineError, what, messages, hint)


def runner_error(what: str, messages: Iterable[str], *, hint: str = "") -> RunnerError:
    """Return the error for an accepted engine that TensorRT could not run, or for TensorRT that could not start."""
    return _refusal(RunnerError, what, messages, hint)


def _refusal(kind: type[Refusal], what: str, messages: Iterable[str], hint: str) -> Refusal:
    lines = list(messages)
    known = translated(lines)
    if known is None:
        text = "; ".join(map(shortened, lines[:3])) or "no message"
        return kind(what, got=f"from TensorRT: {text}", hint=hint)
    cause, next_command, line = known
    return kind(f"{what}: {cause}", got=f"from TensorRT: {line}", hint=next_command)
