"""What a training run prints at its end."""

from __future__ import annotations

import shlex

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import TrainingDetails
from rtseg.artifacts.manifest import Manifest


def training_text(manifest: Manifest) -> str:
    """Return one line with the validation mIoU of the epoch that was kept."""
    details = manifest.details_as(TrainingDetails)
    return (
        f"kept epoch {details.selected_epoch} of {len(details.history)}: validation mIoU "
        f"{details.validation_miou:.2%} on {details.validation_pictures} pictures ({manifest.precision} weights)"
    )


def export_command(checkpoint: Artifact) -> str:
    """Return the command that exports a checkpoint, at the size that its validation pictures were labelled in."""
    manifest = checkpoint.manifest
    own = f" --module {manifest.network}" if ":" in manifest.network else ""
    where = f"--checkpoint {shlex.quote(str(checkpoint.path))} --resolution {manifest.image.resolution}"
    return f"next: rtseg export{own} {where}"
