"""Build an engine or an OpenVINO model from an ONNX file, and audit the layers of an engine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from rtseg.artifacts.artifact import Artifact, ArtifactLike, artifact_or_path
from rtseg.artifacts.files import PathLike
from rtseg.artifacts.manifest import require_separate, weights_path
from rtseg.errors import EngineError, SpecError, UnknownNameError
from rtseg.observer import SILENT, Observer
from rtseg.pipeline.arguments import listed
from rtseg.pipeline.results import Result
from rtseg.runners.cuda.registry import DEFAULT
from rtseg.runners.openvino_package import OPENVINO
from rtseg.runners.tensorrt.module import RUNTIMES

if TYPE_CHECKING:
    from rtseg.engines.engine_file import BuiltEngine
    from rtseg.engines.layer_audit import Audit
    from rtseg.engines.lower_bound import LowerBound
    from rtseg.engines.proof import PrecisionProof
    from rtseg.engines.settings import BuildSettings
    from rtseg.engines.verdict import EngineVerdict

BUILD_RUNTIMES = (*RUNTIMES, OPENVINO)
"""The runtimes that a file can be built for."""

Settings = Union["BuildSettings", PathLike]
"""Build settings, or the path of a TOML file with them (engines/NAME.toml)."""


@dataclass(frozen=True, repr=False)
class BuildResult(Result):
    """The engine, the JSON about its layers, the proof of its precision, and whether it came from the cache.

    bounds are its lower bounds on the cards that it is built for, as far as their figures are known.
    """

    artifact: Artifact
    layers: Path
    from_cache: bool
    proof: PrecisionProof
    bounds: tuple[LowerBound, ...] = ()

    @property
    def verdict(self) -> EngineVerdict:
        """Whether the convolutions and matrix products are in the requested precision."""
        return self.proof.verdict

    def _document(self) -> Mapping[str, Any]:
        """Return path, layers, from_cache, verdict and shares, the sums of the lower bounds, and the manifest."""
        return {
            "path": str(self.artifact.path),
            "layers": str(self.layers),
            "from_cache": self.from_cache,
            **self.proof.to_json(),
            "lower_bounds": [bound.summary() for bound in self.bounds],
            "manifest": self.artifact.manifest.to_json(),
        }


@dataclass(frozen=True, repr=False)
class OpenVinoBuildResult(Result):
    """The model that OpenVINO stored: its graph is the artifact; its constants are in the file weights beside it."""

    artifact: Artifact

    @property
    def weights(self) -> Path:
        """The file of the constants, NAME.bin."""
        return weights_path(self.artifact.path)

    def _document(self) -> Mapping[str, Any]:
        """Return path, weights, and the manifest."""
        return {
            "path": str(self.artifact.path),
            "weights": str(self.weights),
            "manifest": self.artifact.manifest.to_json(),
        }


@dataclass(frozen=True, repr=False)
class AuditResult(Result):
    """The precisions of an engine's layers; the verdict on a precision, if requested; another engine and the changes.

    file and other are the given paths: an engine, or the JSON about its layers. bounds are the lower bounds of file on
    cards.
    """

    file: Path
    engine: Audit
    verdict: EngineVerdict | None = None
    other: Path | None = None
    reference: Audit | None = None
    bounds: tuple[LowerBound, ...] = ()

    def _document(self) -> Mapping[str, Any]:
        """Return file, engine, verdict, lower bounds, and "against": the other engine, the changes to it, the times."""
        return {
            "file": str(self.file),
            "engine": self.engine.to_json(),
            "verdict": None if self.verdict is None else self.verdict.to_json(),
            "lower_bounds": [bound.to_json() for bound in self.bounds],
            "against": self._against(),
        }

    def _against(self) -> dict[str, Any] | None:
        from rtseg.engines.changes import changes_between, times_by_precision

        if self.reference is None:
            return None
        return {
            "file": str(self.other),
            "engine": self.reference.to_json(),
            "changes": [change.to_json() for change in changes_between(self.engine, self.reference)],
            "times": times_by_precision(self.engine, self.reference),
        }


def build(
    source: ArtifactLike,
    output: PathLike | None = None,
    *,
    precision: str | None = None,
    runtime: str | None = None,
    capabilities: Sequence[str] | str = (),
    settings: Settings | None = None,
    workspace_mib: int | None = None,
    cuda: str = DEFAULT,
    keep_anyway: bool = False,
    keep_graph: PathLike | None = None,
    rewrite: bool = True,
    observer: Observer = SILENT,
) -> BuildResult | OpenVinoBuildResult:
    """Build an engine from an ONNX file and prove its precision, or store the model that OpenVINO compiles for it.

    For an engine, precision is "fp32", "fp16" or "int8", by default the file's own. runtime is "tensorrt", for the GPU
    of this machine, or "tensorrt-rtx", for the given compute capabilities ("8.9"), by default all from 8.6 on; without
    a runtime, the one that this machine has is used. settings control how hard the compiler searches; workspace_mib
    limits the scratch memory of a layer. output is by default NAME.PRECISION.RELEASE-GPU.engine beside source. An
    engine that is not in the requested precision is not written, unless keep_anyway is True. keep_graph is a path for
    the graph that the compiler receives. rewrite applies graph passes to it first: for TensorRT for RTX those that its
    account shows to save time, for TensorRT those whose reasons also hold there. A repeated request is served from the
    cache. The result is a BuildResult.

    With the runtime "openvino" the result is an OpenVinoBuildResult: NAME.openvino.xml and NAME.openvino.bin beside
    source, or output, NAME.xml, and NAME.bin. It holds the model that the runner openvino compiles, in the file's own
    precision, with the same results to the bit. Of the other arguments it accepts only observer, and precision if it is
    the file's own.

    Raises MissingDependencyError, CudaError, ManifestError, OnnxError, QuantizationError, SpecError, EngineError,
    RunnerError, UnknownNameError and WriteError.
    """
    if runtime is not None and runtime not in BUILD_RUNTIMES:
        raise UnknownNameError("runtime", runtime, BUILD_RUNTIMES)
    if runtime == OPENVINO:
        _require_none(
            {
                "compute capabilities": capabilities,
                "build settings": settings,
                "a workspace": workspace_mib,
                "a way to call CUDA": cuda != DEFAULT,
                "keep_anyway": keep_anyway,
                "keep_graph": keep_graph,
                "rewrite=False": not rewrite,
            }
        )
        from rtseg.engines.openvino_building import build_openvino

        return OpenVinoBuildResult(build_openvino(source, output, precision=precision, observer=observer))
    from rtseg.engines.building import build_engine
    from rtseg.engines.settings import BuildSettings, read_settings

    chosen = settings if isinstance(settings, BuildSettings) else None
    given = settings if isinstance(settings, (str, os.PathLike)) else None
    for written in (output, keep_graph):
        if written is not None:
            require_separate(written, given)
    if chosen is None:
        chosen = BuildSettings() if settings is None else read_settings(settings)  # type: ignore[arg-type]
    built = build_engine(
        source,
        output,
        precision=precision,
        runtime=runtime,
        capabilities=listed(capabilities),
        settings=chosen.replaced({"workspace_mib": workspace_mib}),
        cuda=cuda,
        observer=observer,
        keep_anyway=keep_anyway,
        keep_graph=keep_graph,
        rewrite=rewrite,
    )
    artifact = Artifact(built.path, built.manifest)
    return BuildResult(artifact, built.layers, built.from_cache, built.proof, _bounds_of_built(built))


def _require_none(arguments: Mapping[str, object]) -> None:
    """Raise SpecError, with its name, for an argument that only applies to engines for NVIDIA GPUs."""
    for words, value in arguments.items():
        if value:
            raise SpecError(
                f"an OpenVINO model is built without {words}",
                got="the runtime openvino",
                expected=f"{' or '.join(RUNTIMES)}, for an engine",
            )


def audit(
    source: ArtifactLike,
    *,
    expect: str | None = None,
    against: ArtifactLike | None = None,
    profile: PathLike | None = None,
    against_profile: PathLike | None = None,
    cards: Sequence[str] | str = (),
    observer: Observer = SILENT,
) -> AuditResult:
    """Return the precisions of an engine's layers, and the verdict on a requested precision.

    source is an engine with NAME.layers.json beside it, or such a file: the JSON of TensorRT's inspector. expect is
    "fp32", "fp16" or "int8", by default the manifest's precision; without either there is no verdict. against is an
    engine to compare with. The profiles are times of layers, as trtexec writes them. cards are names of GPUs, such as
    "RTX 3090", by default those that the engine is built for. The result has a lower bound on each card; with one card,
    and a profile measured on it, also the bound as a fraction of the measured time. Needs neither TensorRT nor a GPU.

    Raises EngineError for files that cannot be read and for a card that the engine was not built for, ManifestError and
    UnknownNameError.
    """
    from rtseg.engines.verdict import requested_precision, verdict_on

    file, other = _path(source), None if against is None else _path(against)
    for given in filter(None, (file, other)):
        if given.suffix == ".xml":
            raise EngineError(
                f"{given} is an OpenVINO model, whose layers get their precision when it is loaded",
                expected="an engine, or the JSON about its layers",
            )
    engine = _audited(file, profile)
    reference = None if other is None else _audited(other, against_profile)
    request = expect or requested_precision(file)
    verdict = None if request is None else verdict_on(engine, request)
    return AuditResult(file, engine, verdict, other, reference, _bounds(file, engine, listed(cards)))


def _bounds(file: PathLike, engine: Audit, cards: Sequence[str] = ()) -> tuple[LowerBound, ...]:
    from rtseg.engines.card_choice import chosen_cards
    from rtseg.engines.lower_bound import lower_bound

    try:
        chosen = chosen_cards(file, engine.engine, cards)
    except SpecError:  # no TOML reader for the figures of cards
        if cards:
            raise
        return ()
    stored = None if str(file).endswith(".json") else os.path.getsize(file)
    return tuple(lower_bound(engine, card, measured=len(chosen) == 1, stored_bytes=stored) for card in chosen)


def _bounds_of_built(built: BuiltEngine) -> tuple[LowerBound, ...]:
    """Return the lower bounds of an engine; empty if its layers cannot be read, which its proof then states."""
    if built.proof.shares is None:
        return ()
    try:
        return _bounds(built.path, _audited(built.layers, None))
    except EngineError:
        return ()


def _path(source: ArtifactLike) -> Path:
    given = artifact_or_path(source)
    return given.path if isinstance(given, Artifact) else given


def _audited(file: Path, profile: PathLike | None) -> Audit:
    from rtseg.engines.layer_audit import audit as audited
    from rtseg.engines.layer_times import read_layer_times
    from rtseg.engines.layers_file import read_layers

    engine = read_layers(file)
    return audited(engine, None if profile is None else read_layer_times(profile, engine))
