"""A package that is missing is named with the extra that installs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rtseg.errors import MissingDependencyError
from rtseg.pipeline.packages import EXTRAS, needed_for
from tests.toml_files import read_toml

ROOT = Path(__file__).resolve().parents[2]

WITHOUT = """
import sys
for name in {missing!r}: sys.modules[name] = None
import rtseg
from rtseg.errors import MissingDependencyError
try:
    {call}
except MissingDependencyError as error:
    print(error)
"""


def test_every_package_has_an_extra_that_exists() -> None:
    assert set(EXTRAS.values()) <= set(read_toml(ROOT / "pyproject.toml")["project"]["optional-dependencies"])


def test_a_package_of_no_extra_is_not_translated() -> None:
    with pytest.raises(ModuleNotFoundError), needed_for("nothing"):
        raise ModuleNotFoundError("no module", name="somebody.elses")


def test_a_part_of_a_package_names_the_package() -> None:
    told = r"plots needs the package matplotlib, which is not installed. Try: run pip install 'rtseg\[report\]'"
    with pytest.raises(MissingDependencyError, match=told), needed_for("plots"):
        raise ModuleNotFoundError("no module", name="matplotlib.figure")


@pytest.mark.parametrize(
    ("missing", "call", "package", "extra"),
    [
        (["torch"], "rtseg.export('affnet', '64x64')", "torch", "export"),
        (["onnx"], "rtseg.export('affnet', '64x64')", "onnx", "export"),
        (["onnx"], "rtseg.import_onnx('a.onnx')", "onnx", "export"),
        (["torch"], "rtseg.import_checkpoint('espnet', 'a.pth', classes=3)", "torch", "export"),
        (["onnx"], "rtseg.calibrate('a.onnx', 'streets')", "onnx", "cpu"),
        (["onnx"], "rtseg.quantize('a.onnx', to='fp16')", "onnx", "cpu"),
        (["torch"], "rtseg.bench(networks=['affnet'], resolution='64x64')", "torch", "export"),
        (["polygraphy"], "rtseg.drift({file!r}, {file!r})", "polygraphy", "report"),
        (["onnxruntime"], "rtseg.load({file!r})", "onnxruntime", "cpu"),
    ],
)
def test_a_stage_names_the_package_that_it_misses(
    missing: list[str], call: str, package: str, extra: str, exported: Path
) -> None:
    program = WITHOUT.format(missing=missing, call=call.format(file=str(exported)))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    told = rf"needs the package {package}, which is not installed. Try: run pip install 'rtseg\[{extra}\]'"
    assert re.search(told, done.stdout), done.stdout
