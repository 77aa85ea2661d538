"""Build, prove and time the shipped networks on a GPU, into one ledger."""

from __future__ import annotations

import argparse  # and not click, which a GPU host need not have
import importlib.util
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.gpu_check.cases import CaseFolder
from rtseg.artifacts.files import write_text_atomically
from rtseg.errors import RtsegError

PREPARING_NEEDS = ("torch", "onnx", "onnxruntime", "safetensors", "cv2")
CASES = Path("gpu-cases")
LEDGER = Path("benchmarks/results/gpu-check.json")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 all done and met, 1 an error or a promise not met, 2 wrong usage, 3 the time was up."""
    options = _parser().parse_args(arguments)
    try:
        sys.exit(options.command(options))
    except RtsegError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("interrupted", 130)


def _prepare(options: argparse.Namespace) -> int:
    from benchmarks.gpu_check.prepare import RESOLUTIONS, Request, prepare, shipped_checkpoints
    from rtseg.specs import Resolution

    request = Request(
        checkpoints=shipped_checkpoints(options.network),
        resolutions=[Resolution.parse(text) for text in options.resolution or RESOLUTIONS],
        forms=("flags", "typed") if options.form == "both" else (options.form,),
        data=options.data,
        split=options.split,
    )
    cases = prepare(request, options.output, notify=_say)
    size = sum(path.stat().st_size for path in options.output.rglob("*") if path.is_file())
    print(f"{options.output}: {len(cases)} cases, {size / (1 << 20):.1f} MiB")
    return 0


def _run(options: argparse.Namespace) -> int:
    from benchmarks.gpu_check.interpreters import probe
    from benchmarks.gpu_check.ledger import Ledger
    from benchmarks.gpu_check.run import Check, require_builder
    from benchmarks.gpu_check.summary import summary_lines

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    interpreters = [probe(command) for command in dict.fromkeys([sys.executable, *options.python])]
    if options.device == "cuda":
        require_builder(interpreters)
    folder, ledger = CaseFolder(options.cases), Ledger(options.output)
    if not folder.index.exists() and all(map(importlib.util.find_spec, PREPARING_NEEDS)):
        _prepare(_parser().parse_args(["prepare", "-o", str(options.cases)]))
    check = Check(folder, ledger, interpreters, device=options.device, notify=_say)
    outcome = check.run(seconds=60 * options.minutes, task_seconds=60 * options.task_minutes)
    print("\n".join(summary_lines(outcome.entries, outcome.expectations, outcome.waiting)))
    return outcome.exit_code


def _task(options: argparse.Namespace) -> int:
    from benchmarks.gpu_check.child import end_with_parent
    from benchmarks.gpu_check.run import RESULT
    from benchmarks.gpu_check.tasks import LABELS, SCORES, TORCH, TORCH_COMPILE, task_named

    end_with_parent()
    folder = CaseFolder(options.cases)
    task = task_named(options.name, folder.cases())
    found: dict[str, Any] = {}

    def report(facts: Mapping[str, Any]) -> None:
        found.update(facts)
        write_text_atomically(options.scratch / RESULT, json.dumps(found))

    if task.kind in (TORCH, TORCH_COMPILE):
        from benchmarks.gpu_check.torch_task import torch_task

        torch_task(folder, task.case, task.kind, options.scratch, report, device=options.device, beside=options.beside)
        return 0
    from benchmarks.gpu_check.engine_task import engine_task, labels_task, scores_task

    if task.kind == LABELS:
        labels_task(folder, task.case, options.scratch, report)
    elif task.kind == SCORES:
        scores_task(folder, task.case, options.scratch, report)
    else:
        engine_task(folder, task.case, task.kind, options.scratch, report)
    return 0


def _probe(options: argparse.Namespace) -> int:
    from benchmarks.gpu_check.interpreters import print_findings

    print_findings()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="prepare|run")

    prepare = commands.add_parser("prepare", help="make the cases, where torch, onnx and onnxruntime are")
    prepare.add_argument("-o", "--output", type=Path, default=CASES)
    prepare.add_argument("--network", action="append", default=[], help="a shipped checkpoint; again for more  [all]")
    prepare.add_argument("--resolution", action="append", help="HEIGHTxWIDTH; again for more  [three sizes]")
    prepare.add_argument("--form", choices=("flags", "typed", "both"), default="both", help="TensorRT 8, 10 and on")
    prepare.add_argument("--data", default="", help="labelled pictures beside rendered scenes, such as camvid:PATH")
    prepare.add_argument("--split", default="val")
    prepare.set_defaults(command=_prepare)

    run = commands.add_parser("run", help="build, prove and time on this machine's GPU")
    run.add_argument("cases", type=Path, nargs="?", default=CASES)
    run.add_argument("-o", "--output", type=Path, default=LEDGER, help="the ledger; one that is there is gone on with")
    run.add_argument("--minutes", type=_minutes, default=8.0, help="the time after which it stops  [8]")
    run.add_argument("--task-minutes", type=_minutes, default=5.0, help="the most that one task may take  [5]")
    run.add_argument("--python", action="append", default=[], help="another interpreter, with what this one lacks")
    run.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help=argparse.SUPPRESS)
    run.set_defaults(command=_run)

    task = commands.add_parser("task")
    task.add_argument("name")
    task.add_argument("--cases", type=Path, required=True)
    task.add_argument("--scratch", type=Path, required=True)
    task.add_argument("--device", default="cuda")
    task.add_argument("--beside", action="store_true")
    task.set_defaults(command=_task)

    commands.add_parser("probe").set_defaults(command=_probe)
    return parser


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes < float("inf"):
        raise ValueError(text)
    return minutes


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fail(message: str, code: int) -> NoReturn:
    print(f"rtseg: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
