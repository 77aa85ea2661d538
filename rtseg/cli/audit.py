"""`rtseg audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtseg.cli.console import print_json, table_console
from rtseg.cli.options import ANY_PATH, file_argument, json_option

if TYPE_CHECKING:
    from rtseg.engines.audit import Audit


@click.command()
@file_argument("file")
@click.option("--against", type=ANY_PATH, metavar="OTHER", help="An engine to compare with: what changed since it.")
@click.option(
    "--expect",
    type=click.Choice(("fp32", "fp16", "int8")),
    help="Fail when this is not what was built.  [the manifest's precision]",
)
@click.option("--profile", type=ANY_PATH, metavar="JSON", help="Times of layers: trtexec --exportProfile, {layer: ms}.")
@click.option("--against-profile", type=ANY_PATH, metavar="JSON", help="Times of the layers of OTHER.")
@json_option
def audit(
    file: Path,
    against: Path | None,
    expect: str | None,
    profile: Path | None,
    against_profile: Path | None,
    as_json: bool,
) -> None:
    """Prove an engine's precisions, and tell what its kernels move.

    FILE is an engine with FILE.layers.json beside it, which rtseg build saves, or such a file itself: what TensorRT's
    engine inspector writes as JSON, by trtexec --exportLayerInfo too. Neither TensorRT nor a GPU is needed. An engine
    of TensorRT for RTX is proven for each compute capability that it was built for.

    Where --expect, or the manifest beside the engine, names a precision, the exit code is 1 when the convolutions and
    matrix products were not built in it.

    \b
    Example: rtseg audit affnet.engine --expect fp16
    Example: rtseg audit new.layers.json --against old.layers.json
    Example: rtseg audit affnet.engine --profile profile.json --json
    """
    if against_profile is not None and against is None:
        raise click.UsageError("--against-profile needs --against")
    from rtseg.engines.changes import changes_between, times_by_precision
    from rtseg.engines.verdict import requested_precision, verdict_on
    from rtseg.report.audit import audit_text

    result = _audited(file, profile)
    reference = None if against is None else _audited(against, against_profile)
    request = expect or requested_precision(file)
    verdict = None if request is None else verdict_on(result, request)
    facts = {
        "file": str(file),
        "engine": result.to_json(),
        "verdict": None if verdict is None else verdict.to_json(),
        "against": None
        if reference is None
        else {
            "file": str(against),
            "engine": reference.to_json(),
            "changes": [change.to_json() for change in changes_between(result, reference)],
            "times": times_by_precision(result, reference),
        },
    }
    if as_json:
        print_json(facts)
    else:
        audit_text(facts, table_console())
    if verdict is not None:
        verdict.require()


def _audited(file: Path, profile: Path | None) -> Audit:
    from rtseg.engines.audit import audit as audit_engine
    from rtseg.engines.layer_times import read_layer_times
    from rtseg.engines.layers_file import read_layers

    engine = read_layers(file)
    return audit_engine(engine, None if profile is None else read_layer_times(profile, engine))
