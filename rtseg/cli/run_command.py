"""`rtseg run`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, say, table_console, watched
from rtseg.cli.options import ANY_PATH, file_argument, json_option, runner_option, threads_option


@click.command()
@file_argument("artifact")
@file_argument("inputs", nargs=-1, required=True)
@click.option("-o", "folder", type=ANY_PATH, required=True, help="The folder to write.")
@runner_option
@threads_option
@json_option
def run(
    artifact: Path, inputs: tuple[Path, ...], folder: Path, runner: str | None, threads: int, as_json: bool
) -> None:
    """Label images, folders of images and videos.

    Writes NAME_labels.png, indexed, and NAME_overlay.png for each file, for a video NAME_labels/ and
    NAME_overlay.mp4, and summary.json with pixel shares. NAME is the file's without its suffix; where
    several files share it, with the suffix (0001.png_labels.png), or with the folder before it. Hidden
    files are left out. What cannot be read is listed, costs nothing of the rest, and makes the exit code 1.

    \b
    Example: rtseg run affnet.onnx pictures/ clip.mp4 -o labelled/
    """
    import rtseg
    from rtseg.cli.show.labelling_text import print_labelling

    with watched() as observer:
        result = rtseg.run(artifact, inputs, folder, runner=runner, threads=threads, observer=observer)
    if as_json:
        print_json(result.to_json())
    else:
        print_labelling(result.to_json(), table_console())
    result.require()
    say(f"wrote {folder}")
