from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from rtseg.datasets.registry import open_dataset, open_pictures
from rtseg.quantization.files import read_original, read_table
from rtseg.quantization.trials import Trials
from rtseg.runners.registry import DEFAULT_RUNNERS
from tests.staged_network import Staged

DEFAULT_RUNNER = DEFAULT_RUNNERS["onnx"]


@pytest.fixture(scope="session")
def trials_of(staged: Staged, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Trials]:
    """Give trials of the small network, with a table in which those blocks read what is far too coarse."""
    folder: Path = tmp_path_factory.mktemp("tables")

    def trials(
        *sabotaged: str, factor: float = 20.0, labelled: bool = True, excluded: Collection[str] = (), **settings: object
    ) -> Trials:
        original = read_original(staged.onnx)
        table = read_table(staged.sabotaged(sabotaged, folder / "table.json", factor=factor), original)
        pictures = open_dataset(staged.data, "val") if labelled else open_pictures(staged.unlabelled, "val")
        chosen = {"target": "tensorrt", "runner": DEFAULT_RUNNER, "threads": 1, **settings}
        return Trials(original, table, pictures, excluded=excluded, **chosen)  # type: ignore[arg-type]

    return trials
