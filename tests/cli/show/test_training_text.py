"""What a training prints at its end: the command that comes next can be pasted."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.manifest import Manifest
from rtseg.cli.show.training_text import export_command
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec

OUTPUT = OutputSpec(ClassSpec("", ("a", "b"), ((0, 0, 0), (1, 2, 3))), "logits", 8, False)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("affnet", "next: rtseg export"),
        ("mine:network", "next: rtseg export --module mine:network"),
    ],
)
def test_the_export_names_the_module_of_a_network_of_ones_own(network: str, expected: str) -> None:
    manifest = Manifest("checkpoint", network, {}, "", "fp32", ImageSpec(64, 96), OUTPUT)
    assert export_command(Artifact(Path("my net.safetensors"), manifest)) == (
        f"{expected} --checkpoint 'my net.safetensors' --resolution 64x96"
    )
