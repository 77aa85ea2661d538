"""What a training run prints at its end."""

from __future__ import annotations

from rtseg.artifacts.details import TrainingDetails
from rtseg.artifacts.manifest import Manifest


def training_text(manifest: Manifest) -> str:
    """Return one line with the validation mIoU of the epoch that was kept."""
    details = manifest.details_as(TrainingDetails)
    return (
        f"kept epoch {details.selected_epoch} of {len(details.history)}: validation mIoU "
        f"{details.validation_miou:.2%} on {details.validation_pictures} pictures ({manifest.precision} weights)"
    )
