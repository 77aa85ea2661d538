"""`rtseg build`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtseg.cli.console import print_json, progress_bar, say
from rtseg.cli.options import ANY_PATH, file_argument, json_option
from rtseg.cuda.registry import DEFAULT, DRIVERS
from rtseg.tensorrt.module import RUNTIMES

if TYPE_CHECKING:
    from rtseg.engines.build import BuildObserver
    from rtseg.engines.progress import BuildProgress


@click.command()
@file_argument("artifact", metavar="ONNX")
@click.option("--runtime", type=click.Choice(RUNTIMES), help="Whose engine.  [tensorrt with a GPU, else tensorrt-rtx]")
@click.option(
    "--compute-capability",
    "capabilities",
    multiple=True,
    metavar="N.N",
    help="A kind of GPU that the engine is for, with tensorrt-rtx; may be repeated.  [8.6, 8.9, 12.0, 12.1 and newer]",
)
@click.option("--profile", "profile_path", type=ANY_PATH, help="How hard TensorRT searches: engines/NAME.toml.")
@click.option(
    "--precision", type=click.Choice(("fp32", "fp16", "int8")), help="What the engine computes in.  [the file's own]"
)
@click.option("-o", "--output", type=ANY_PATH, help="The engine.  [NAME.PRECISION.RELEASE-GPU.engine, beside ONNX]")
@click.option("--keep-graph", type=ANY_PATH, metavar="F", help="Write the ONNX graph that the compiler is given to F.")
@click.option("--workspace", type=click.IntRange(1, 1 << 24), metavar="MiB", help="Most scratch memory of a layer.")
@click.option("--cuda", type=click.Choice(DRIVERS), default=DEFAULT, show_default=True, help="How TensorRT calls CUDA.")
@click.option(
    "--keep-anyway", is_flag=True, help="Write the engine even where it is not in the precision that was asked for."
)
@json_option
def build(
    artifact: Path,
    runtime: str | None,
    capabilities: tuple[str, ...],
    profile_path: Path | None,
    precision: str | None,
    output: Path | None,
    keep_graph: Path | None,
    workspace: int | None,
    cuda: str,
    keep_anyway: bool,
    as_json: bool,
) -> None:
    """Build an engine for NVIDIA GPUs and prove its precision.

    TensorRT builds for the GPU of this machine. TensorRT for RTX builds without a GPU, for RTX cards from Ampere on,
    or for those named by --compute-capability: 7.5 Turing, 8.6 Ampere, 8.9 Ada, 12.0 Blackwell. An engine for 7.5 is
    one of its own, in fp32 or fp16. fp16 is built from an FP32 or FP16 file, int8 from what rtseg quantize wrote.

    Beside the engine lie its manifest and, in NAME.engine.layers.json, its layers. A request that was built before is
    taken from the cache.

    The exit code is 1 when the convolutions and matrix products were not built in the precision asked for. Such an
    engine stays in the cache and is not written, unless with --keep-anyway. rtseg import-onnx makes a file of any
    other ONNX.

    \b
    Example: rtseg build affnet.onnx --precision fp16
    Example: rtseg build affnet.onnx --runtime tensorrt-rtx --compute-capability 8.9 --precision fp16
    Example: rtseg build affnet.int8.onnx --profile engines/fastest.toml -o affnet.engine
    """
    from rtseg.engines.build import build_engine
    from rtseg.engines.profile import BuildProfile, read_profile
    from rtseg.report.build import built_text, next_commands

    profile = BuildProfile() if profile_path is None else read_profile(profile_path)
    profile = profile.replaced({"workspace_mib": workspace})
    with _observed() as observer:
        built = build_engine(
            artifact,
            output,
            precision=precision,
            runtime=runtime,
            capabilities=capabilities,
            profile=profile,
            cuda=cuda,
            observer=observer,
            keep_anyway=keep_anyway,
            keep_graph=keep_graph,
        )
    if as_json:
        print_json(
            {
                "path": str(built.path),
                "layers": str(built.layers),
                "from_store": built.from_store,
                **built.proof.to_json(),
                "manifest": built.manifest.to_json(),
            }
        )
    else:
        say(built_text(built.manifest, from_store=built.from_store))
        click.echo(built.path)
        say(next_commands(built.path, artifact, built.manifest))
    if built.verdict.failures:
        built.verdict.require()


@contextmanager
def _observed() -> Iterator[BuildObserver]:
    """Give an observer that draws a bar with the time spent, and the time to go where TensorRT tells how far it is."""
    from rtseg.engines.build import BuildObserver
    from rtseg.report.build import account_text, shares_text

    with progress_bar() as bar:
        task = bar.add_task("building", total=None, note="")

        class Shown(BuildObserver):
            """Draws the bar, and says in a line what is out of the ordinary."""

            def progress(self, state: BuildProgress, elapsed_seconds: float) -> None:
                total = 100 if state.heard else None
                bar.update(task, completed=int(100 * state.fraction()), total=total, note=state.phase[:60])

            def note(self, text: str) -> None:
                say(text)

            def counted(self, shares: Mapping[str, Any]) -> None:
                say(shares_text(shares))
                say(account_text(shares["account"]))

        yield Shown()
