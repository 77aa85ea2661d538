"""A model that OpenVINO stored gives the same bits as the file it was made of, whatever the file holds."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import OpenVinoDetails
from rtseg.artifacts.files import sha256_of
from rtseg.artifacts.manifest import Manifest, weights_path, write_manifest
from rtseg.errors import RunnerError, WriteError
from rtseg.runners.openvino import OpenVinoRunner, cpu_capabilities
from rtseg.runners.openvino_model import onnx_model, store_model, stored_model
from rtseg.runners.probes import probe_inputs
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec
from tests.runners.quantized_graphs import KINDS, Encoding, write_quantized

pytestmark = [
    pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed"),
    pytest.mark.filterwarnings("ignore"),  # of onnxruntime.quantization
]

OUTPUT = OutputSpec(ClassSpec("", ("a", "b"), ((0, 0, 0), (1, 2, 3))), "logits", 8, False)
GRAPHS = st.lists(st.sampled_from(KINDS), min_size=1, max_size=6)
ENCODINGS = st.builds(
    Encoding, st.sampled_from(["QUInt8", "QInt8"]), st.just("QInt8"), *(st.booleans() for _ in range(4)), st.just("QDQ")
)


def stored(path: Path) -> Artifact:
    """Return what OpenVINO stores of an ONNX file, with a manifest of digests."""
    xml = path.with_suffix(".xml")
    store_model(onnx_model(path), xml, weights_path(xml))
    details = OpenVinoDetails(weights_sha256=sha256_of(weights_path(xml)))
    manifest = Manifest("openvino", "any", {}, "", "int8", ImageSpec(64, 96), OUTPUT, details=details)
    return Artifact(xml, write_manifest(xml, manifest))


def require_same_bits(path: Path) -> None:
    with OpenVinoRunner(path, threads=1) as one, OpenVinoRunner(stored(path), threads=1) as other:
        for name, array in probe_inputs(one.input, seed=1):
            assert one.infer(array.copy()).tobytes() == other.infer(array.copy()).tobytes(), name


@pytest.fixture(autouse=True, scope="module")
def no_verdict_is_kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RTSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(GRAPHS, ENCODINGS, st.integers(0, 1000))
def test_a_stored_model_gives_the_same_bits(kinds: list[str], encoding: Encoding, seed: int) -> None:
    with TemporaryDirectory() as folder:
        path = write_quantized(Path(folder) / "x.onnx", kinds, encoding, seed=seed)
        require_same_bits(path)
        require_same_bits(path.with_name("x.float.onnx"))


def test_metadata_and_names_survive(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(exported.read_bytes())
    with OpenVinoRunner(path) as one, OpenVinoRunner(stored(path)) as other:
        assert (one.metadata, one.input, one.output) == (other.metadata, other.input, other.output)
        assert "rtseg.output" in other.metadata


@pytest.mark.parametrize("content", [b"", b"words", b"\x08\x08\x12\x07pytorch"], ids=["nothing", "words", "ONNX"])
def test_what_is_no_xml_is_refused_without_a_word_from_openvino(
    content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunnerError, match=r"m\.xml is not an OpenVINO IR file; expected XML"):
        stored_model(content, b"", "m.xml")
    assert capfd.readouterr() == ("", "")


def test_a_part_of_a_graph_and_constants_that_are_too_short_are_refused(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(exported.read_bytes())
    artifact = stored(path)
    xml, weights = artifact.content(), artifact.weights()
    for some in ((xml[: len(xml) // 2], weights), (xml, weights[: len(weights) // 2])):
        with pytest.raises(RunnerError, match=r"OpenVINO cannot load m\.xml: "):
            stored_model(*some, "m.xml")


def test_where_nothing_can_be_written_it_is_a_write_error(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "m.xml").mkdir()
    with pytest.raises(WriteError, match="OpenVINO cannot write"):
        store_model(onnx_model(exported), tmp_path / "m.xml", tmp_path / "m.bin")


def test_bf16_is_computed_from_a_stored_model_as_from_the_file(exported: Path, tmp_path: Path) -> None:
    if "BF16" not in cpu_capabilities():
        pytest.skip("this processor does not compute in bf16")
    path = tmp_path / "x.onnx"
    path.write_bytes(exported.read_bytes())
    with OpenVinoRunner(path, precision="bf16") as one, OpenVinoRunner(stored(path), precision="bf16") as other:
        array = np.random.default_rng(0).standard_normal(one.input.shape, np.float32)
        assert one.infer(array).tobytes() == other.infer(array).tobytes()
