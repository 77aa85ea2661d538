"""`rtseg bench`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, say, table_console
from rtseg.cli.options import ANY_PATH, file_argument, json_option, resolution_option, selected_network, threads_option
from rtseg.specs import Resolution


@click.command()
@file_argument("artifacts", nargs=-1)
@click.option("--network", "networks", multiple=True, help="A registered network; several allowed.  [all]")
@click.option("--module", "factory", metavar="PKG.MOD:FACTORY", help="Your own network instead of a name.")
@click.option("--checkpoint", type=ANY_PATH, help="Weights of the one network.")
@click.option("--classes", metavar="NAME|N", help="Class list.  [cityscapes]")
@resolution_option(required=False)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Time budget of each row; at least 5 samples are taken.",
)
@click.option("--data", help="Also measure mIoU of the same files on this dataset.")
@click.option("--split", default="val", show_default=True)
@threads_option
@json_option
def bench(
    artifacts: tuple[Path, ...],
    networks: tuple[str, ...],
    factory: str | None,
    checkpoint: Path | None,
    classes: str | None,
    resolution: Resolution | None,
    seconds: float,
    data: str | None,
    split: str,
    threads: int,
    as_json: bool,
) -> None:
    """Time networks or exported files, the papers' figures beside.

    \b
    network  normalised tensor -> full-resolution scores, what the papers time
    engine   normalised tensor -> logits at the head's own stride
    frame    uint8 image -> uint8 label map, both in host memory

    Without arguments every registered network is exported, once, into the user's cache and timed.

    \b
    Example: rtseg bench --resolution 1024x2048
    Example: rtseg bench affnet.onnx --seconds 5 --json
    """
    from rtseg.benchmarks.sampling import SamplingRule
    from rtseg.benchmarks.session import BenchmarkSession
    from rtseg.datasets.registry import open_dataset
    from rtseg.networks.registry import network_names
    from rtseg.report.benchmark import benchmark_text

    if artifacts and (networks or factory or checkpoint or resolution or classes):
        raise click.UsageError("artifacts bring their own network, classes and resolution: name one or the other")
    if not artifacts and resolution is None:
        raise click.UsageError("without artifacts --resolution is needed, such as 512x1024")
    session = BenchmarkSession(
        SamplingRule.within(seconds),
        threads=threads,
        dataset=open_dataset(data, split) if data else None,
        notify=say,
    )
    if artifacts:
        for path in artifacts:
            session.add_artifact(path)
    else:
        assert resolution is not None
        names: list[str | None] = list(networks) or ([None] if factory or checkpoint else [*network_names()])
        for name in names:
            session.add_network(selected_network(name, factory, checkpoint, classes, (), 0), resolution)
    result = session.result()
    if as_json:
        print_json(result)
    else:
        benchmark_text(result, table_console())
