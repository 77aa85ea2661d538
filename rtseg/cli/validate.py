"""`rtseg validate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtseg.cli.console import counted, print_json, say, table_console
from rtseg.cli.options import ANY_PATH, file_argument, json_option, runner_option, threads_option
from rtseg.errors import DatasetError
from rtseg.runners.registry import RUNNABLE, runner_names

if TYPE_CHECKING:
    from rtseg.segmenter import Segmenter


@click.command()
@file_argument("artifact")
@click.option("--against", type=ANY_PATH, metavar="B", help="The file it has to keep up with, such as the FP32 one.")
@click.option(
    "--data", required=True, help="camvid:PATH, cityscapes:PATH, voc:PATH, streets; images:PATH is unlabelled."
)
@click.option("--split", default="val", show_default=True)
@click.option("--limit", type=click.IntRange(1), help="Only the first pictures.")
@runner_option
@click.option("--against-runner", type=click.Choice(runner_names()), help="What runs B.  [as --runner, if it can]")
@click.option(
    "--max-drop", type=click.FloatRange(0, 100), metavar="POINTS", help="Fail when more mIoU is lost than that."
)
@click.option("--min-agreement", type=click.FloatRange(0, 100), metavar="PERCENT", help="Fail when fewer pixels agree.")
@threads_option
@json_option
def validate(
    artifact: Path,
    against: Path | None,
    data: str,
    split: str,
    limit: int | None,
    runner: str | None,
    against_runner: str | None,
    max_drop: float | None,
    min_agreement: float | None,
    threads: int,
    as_json: bool,
) -> None:
    """Measure mIoU and class IoUs, alone or against another file.

    All pictures count in one confusion matrix, at the labels' own resolution; void does not count.

    With --against both files see the same pictures: the differences come with 95 % intervals, thin classes first,
    and how far the label maps agree, near borders too. --max-drop and --min-agreement make it a gate: beyond them
    the exit code is 1. On images:PATH, which has no labels, agreement alone is measured.

    \b
    Example: rtseg validate affnet.onnx --data camvid:CamVid --split val
    Example: rtseg validate affnet.int8.onnx --against affnet.onnx --data camvid:CamVid --max-drop 0.5
    """
    if against is None and (max_drop is not None or min_agreement is not None or against_runner is not None):
        raise click.UsageError("--max-drop, --min-agreement and --against-runner need --against")
    if against is None:
        _validate_alone(artifact, data, split, limit, runner, threads, as_json)
        return
    from rtseg.accuracy.gate import Gate
    from rtseg.accuracy.reference_run import compare
    from rtseg.datasets.registry import is_labelled, open_dataset, open_pictures
    from rtseg.report.comparison import comparison_text
    from rtseg.segmenter import load

    labelled = is_labelled(data)
    gate = Gate(max_drop, min_agreement)
    gate.require_measurable(labelled=labelled)
    pictures = open_dataset(data, split) if labelled else open_pictures(data, split)
    with (
        load(artifact, runner=runner, threads=threads) as candidate,
        load(against, runner=against_runner or _if_it_runs(runner, against), threads=threads) as reference,
        counted("comparing") as progress,
    ):
        for note in (*candidate.runner.notes, *reference.runner.notes):
            say(note)
        comparison = compare(candidate, reference, pictures, limit=limit, progress=progress)
    verdict = gate.verdict(comparison)
    measured = comparison.to_json()
    facts = {
        "data": data.partition(":")[0],
        "split": split if labelled else None,
        **measured,
        "candidate": {**_description(artifact, candidate), "accuracy": measured["candidate"]},
        "reference": {**_description(against, reference), "accuracy": measured["reference"]},
        "gate": None if gate == Gate() else verdict.to_json(),
    }
    if as_json:
        print_json(facts)
    else:
        comparison_text(facts, table_console())
    verdict.require()


def _validate_alone(
    artifact: Path, data: str, split: str, limit: int | None, runner: str | None, threads: int, as_json: bool
) -> None:
    from rtseg.accuracy.validation import validate as validate_segmenter
    from rtseg.datasets.registry import is_labelled, open_dataset
    from rtseg.report.accuracy import accuracy_text
    from rtseg.segmenter import load

    if not is_labelled(data):
        raise DatasetError(f"{data} has no labels to validate on", hint="--against B, to measure agreement with B")
    dataset = open_dataset(data, split)
    with load(artifact, runner=runner, threads=threads) as segmenter, counted("validating") as progress:
        for note in segmenter.runner.notes:
            say(note)
        result = validate_segmenter(segmenter, dataset, limit=limit, progress=progress)
    facts = {
        **_description(artifact, segmenter),
        "data": data.partition(":")[0],
        "split": split,
        "pictures": len(dataset) if limit is None else min(limit, len(dataset)),
        **result.to_json(),
    }
    if as_json:
        print_json(facts)
    else:
        accuracy_text(facts, table_console())


def _if_it_runs(runner: str | None, path: Path) -> str | None:
    """Return the runner's name where it takes files of that kind, else None: the kind's default."""
    from rtseg.artifacts import read_manifest

    return runner if runner in runner_names(read_manifest(path, kind=RUNNABLE).kind) else None


def _description(path: Path, segmenter: Segmenter) -> dict[str, Any]:
    """Return what a file is and what ran it."""
    from rtseg.artifacts import read_manifest

    return {
        "artifact": str(path),
        "precision": read_manifest(path, kind=RUNNABLE).precision,
        "resolution": str(segmenter.image.resolution),
        "runner": segmenter.runner.backend,
        "device": segmenter.runner.device,
    }
