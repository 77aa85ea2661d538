"""`rtseg run`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, say, table_console, watched
from rtseg.cli.options import ANY_PATH, file_argument, json_option, runner_option, threads_option


@click.command()
@file_argument("artifact")
@file_argument("inputs", nargs=-1, required=True)
@click.option("-o", "folder", type=ANY_PATH, metavar="DIR", required=True, help="Folder to write.")
@runner_option
@threads_option
@json_option
def run(
    artifact: Path, inputs: tuple[Path, ...], folder: Path, runner: str | None, threads: int, as_json: bool
) -> None:
    """Label images, folders of images and videos.

    For each image, the command writes NAME_labels.png (an indexed PNG) and NAME_overlay.png; for each video,
    NAME_labels/ and NAME_overlay.mp4. summary.json has each class's share of the pixels.

    NAME is the name of the input without its suffix. Inputs that share it keep their suffix (0001.png_labels.png), or
    get the name of their folder in front. Hidden files are skipped. Files that cannot be read are listed and make the
    exit code 1; all others are labelled.

    \b
    Examples:
      rtseg export --checkpoint export/checkpoints/affnet-streets.safetensors \\
        --resolution 128x256 -o affnet.onnx
      rtseg run affnet.onnx export/checkpoints/affnet-streets.jpg -o labelled
      rtseg run affnet.onnx export/checkpoints -o labelled --threads 1 --json
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
