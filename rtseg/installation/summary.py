"""One line: what this machine can do, what it cannot do and why, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rtseg.installation.chain import NOT_TRIED
from rtseg.installation.device_steps import COMPILED, DRIVER, PYCUDA, RUN
from rtseg.installation.engine_steps import BUILT, COMPARED, LOADED, TIMED, step_name
from rtseg.installation.finding import Finding
from rtseg.installation.graph_steps import GRAPH, ONNXRUNTIME, ONNXRUNTIME_CUDA
from rtseg.runners.tensorrt.module import PRODUCTS, RUNTIMES

OF_THE_GPU = (DRIVER, COMPILED, RUN, ONNXRUNTIME_CUDA, PYCUDA)
"""Steps that are mended last: the machine is useful without them."""

_MOST = 2
"""How many commands the line shows. Each finding shows its own."""


def summary_line(packages: Iterable[Finding], chain: Sequence[Finding]) -> str:
    """Return the line. packages are the findings about packages, chain those about the steps."""
    parts, steps = _by_name(packages), _by_name(chain)
    running = [runtime for runtime in RUNTIMES if _runs(runtime, steps)]
    can = list(_abilities(parts, steps, running))
    said = f"This machine {_listed(can)}" if can else "Nothing works here yet"
    failed = [finding for finding in chain if finding.works is False]
    if not running:
        said += f"; it runs no engine: {_why_none_runs(steps)}"
    elif failed:
        said += f"; but {failed[0].name} fails: {_brief(failed[0].seen)}"
    commands = list(_mends(parts, steps, failed, running))[:_MOST]
    return f"{said}. Next: {'; then '.join(commands)}." if commands else f"{said}. Nothing is left to mend."


def _abilities(parts: Mapping[str, Finding], steps: Mapping[str, Finding], running: Sequence[str]) -> Iterable[str]:
    """Return what works, as endings of a sentence about this machine."""
    if _works("torch", parts) and _works(GRAPH, steps):
        yield "exports networks"
    if _works(ONNXRUNTIME, steps):
        where = " on CPU and GPU" if _works(ONNXRUNTIME_CUDA, steps) else ""
        yield f"runs ONNX files{where}"
    if running:
        yield f"builds and runs engines of {_listed([PRODUCTS[runtime] for runtime in running])}"
    building = [runtime for runtime in RUNTIMES if runtime not in running and _works(step_name(runtime, BUILT), steps)]
    if building:
        yield f"builds engines of {_listed([PRODUCTS[runtime] for runtime in building])}"


def _runs(runtime: str, steps: Mapping[str, Finding]) -> bool:
    """Return whether the product's engine loads, runs, and agrees with ONNX Runtime as far as that is known."""
    against = [steps[name] for name in (step_name(runtime, COMPARED), step_name(runtime, TIMED)) if name in steps]
    return _works(step_name(runtime, LOADED), steps) and all(finding.works is not False for finding in against)


def _why_none_runs(steps: Mapping[str, Finding]) -> str:
    """Return the obstacle: the driver, else the first failure with an engine, else why none was tried."""
    names = [DRIVER, *(step_name(runtime, what) for runtime in RUNTIMES for what in (BUILT, LOADED, COMPARED, TIMED))]
    hindrances = [steps[name] for name in names if name in steps and not steps[name].works] or list(steps.values())
    failed = [finding for finding in hindrances if finding.works is False]
    return _brief((failed or hindrances)[0].seen)


def _mends(
    parts: Mapping[str, Finding], steps: Mapping[str, Finding], failed: Sequence[Finding], running: Sequence[str]
) -> Iterable[str]:
    """Return what to do, each thing once; first what makes this machine more useful without a GPU."""
    wanted = ["onnxruntime"]
    if not running:
        wanted += [runtime for runtime in reversed(RUNTIMES) if _works(DRIVER, steps) or runtime != RUNTIMES[0]]
    lacking = [parts[name] for name in wanted if name in parts and not parts[name].works]
    order = [
        *(finding for finding in failed if finding.name not in OF_THE_GPU),
        *lacking,
        *(finding for finding in failed if finding.name in OF_THE_GPU),
    ]
    return dict.fromkeys(finding.mend for finding in order if finding.mend)


def _brief(seen: str) -> str:
    """Return the beginning of what was seen, up to the details."""
    return seen.removeprefix(NOT_TRIED).partition("; ")[0].partition(": ")[0]


def _works(name: str, findings: Mapping[str, Finding]) -> bool:
    return name in findings and findings[name].works is True


def _by_name(findings: Iterable[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def _listed(words: Sequence[str]) -> str:
    """Return the words joined as in a sentence."""
    if len(words) < 3:
        return " and ".join(words)
    return f"{', '.join(words[:-1])}, and {words[-1]}"
