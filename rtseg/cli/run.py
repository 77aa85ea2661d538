"""`rtseg run`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rtseg.cli.console import counted, print_json, say, table_console
from rtseg.cli.options import ANY_PATH, file_argument, json_option, runner_option, threads_option
from rtseg.errors import ImageError


@click.command()
@file_argument("artifact")
@file_argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", "folder", type=ANY_PATH, required=True, help="The folder to write.")
@runner_option
@threads_option
@json_option
def run(
    artifact: Path, inputs: tuple[Path, ...], folder: Path, runner: str | None, threads: int, as_json: bool
) -> None:
    """Label images, folders of images and videos.

    Writes an indexed label PNG and an overlay for each, and summary.json with pixel shares.

    Example: rtseg run affnet.onnx pictures/ clip.mp4 -o labelled/
    """
    from rtseg.artifacts import write_text_atomically
    from rtseg.prediction import expand_inputs, predict_files
    from rtseg.report.prediction import prediction_text
    from rtseg.segmenter import load

    files = expand_inputs(inputs)
    with load(artifact, runner=runner, threads=threads) as segmenter, counted("labelling") as progress:
        for note in segmenter.runner.notes:
            say(note)
        summary = predict_files(segmenter, files, folder, progress=progress)
    data = {
        "artifact": str(artifact),
        "backend": segmenter.runner.backend,
        "device": segmenter.runner.device,
        **summary.to_json(),
    }
    write_text_atomically(folder / "summary.json", json.dumps(data, indent=2) + "\n")
    if as_json:
        print_json(data)
    else:
        prediction_text(data, table_console())
    if summary.failures:
        first = summary.failures[0]["error"]
        raise ImageError(f"{len(summary.failures)} of {len(files)} inputs could not be labelled: {first}")
    say(f"wrote {folder}")
