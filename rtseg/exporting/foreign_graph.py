"""Another exporter's graph: as read, and at one size with rtseg's ends; also a runner for the unchanged file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import inliner

from rtseg.errors import NetworkError, OnnxError, SpecError
from rtseg.exporting.foreign_contract import ContractOptions, contract_of_ends, contract_of_labels
from rtseg.exporting.foreign_ends import ForeignEnds, foreign_ends, takes_floats, with_plain_ends
from rtseg.exporting.one_size import only_input, settle_at
from rtseg.exporting.opset_lowering.opset import known_opset
from rtseg.exporting.training_mode import require_evaluation
from rtseg.exporting.untouched import UntouchedFile
from rtseg.frame.protocol import Runner
from rtseg.graphs.contract import stated_contract
from rtseg.graphs.names import graph_inputs
from rtseg.networks.outputs import LOUD, threshold_of_values
from rtseg.runners.onnxruntime import InMemoryModel, OnnxRuntimeRunner
from rtseg.specs import ImageSpec, OutputSpec


@dataclass(frozen=True)
class ForeignGraph:
    """A file's graph as read, and settled: at one size, with the ends and rtseg's contracts.

    changes has one phrase for each change that this took. ends is None if the file had rtseg's ends. folded is the
    graph at one size before its ends were changed; it contains tensors that were inside a branch of the file.
    """

    model: onnx.ModelProto
    settled: onnx.ModelProto
    image: ImageSpec
    output: OutputSpec
    changes: tuple[str, ...] = ()
    ends: ForeignEnds | None = None
    folded: onnx.ModelProto | None = None

    @classmethod
    def of(cls, model: onnx.ModelProto, said: ContractOptions, label: str) -> ForeignGraph:
        """Return the graph of a file with the given options. Raises OnnxError, NetworkError and SpecError."""
        if not model.graph.output or not graph_inputs(model):
            raise OnnxError(f"{label} has no input, or no output", expected="one picture in, its scores or labels out")
        plain = _inlined(model)
        require_evaluation(plain, label)
        stated = stated_contract(model, label)
        if stated is not None:
            if said != ContractOptions():
                raise SpecError(
                    f"the metadata of {label} already describes its input and output", hint="leave out the options"
                )
            return cls(model, plain, *stated)
        known_opset(plain, label)
        batch = _batch(plain, label)
        changes = settle_at(plain, said.resolution, label)
        if not takes_floats(plain, label):
            return cls(model, plain, *contract_of_labels(plain, said, label), tuple(changes))
        folded = _copy(plain)
        classes = None if said.classes is None else len(said.classes)
        try:
            ends = foreign_ends(plain, label, classes=classes, head=said.head, threshold=said.threshold)
        except NetworkError as error:
            if batch <= 1:
                raise
            raise OnnxError(
                f"{label} uses its batch of {batch} in computed sizes: {error}",
                hint="export it with a batch of 1",
            ) from error
        if ends.scores.shape[1] == 1 and ends.scores.threshold is None:
            measured = _measured_threshold(_untouched(model, folded, ends, label), label)
            ends = replace(ends, scores=replace(ends.scores, threshold=measured))
        image, output = contract_of_ends(ends, said, label)
        with_plain_ends(plain, ends)
        return cls(model, plain, image, output, (*changes, *ends.changes()), ends, folded)

    def reference(self, origin: Path) -> Runner:
        """Return a runner for the unchanged file, from float32 NCHW to scores. Raises OnnxError if none can run it."""
        if self.ends is None:
            return OnnxRuntimeRunner(origin, optimized=False)
        assert self.folded is not None
        return _untouched(self.model, self.folded, self.ends, str(origin))


def _untouched(model: onnx.ModelProto, folded: onnx.ModelProto, ends: ForeignEnds, label: str) -> UntouchedFile:
    wanted = {ends.scores.tensor, ends.output} - {ends.input}
    for whole in (model, _inlined(model)):
        if wanted <= {name for node in whole.graph.node for name in node.output}:
            return UntouchedFile(whole, ends, label)
    _require_same_outputs(_inlined(model), folded, ends, label)
    return UntouchedFile(folded, ends, label)


def _measured_threshold(untouched: UntouchedFile, label: str) -> float:
    """Return the threshold of the single channel, measured on loud pictures. Raises NetworkError if it has none."""
    noise = np.random.default_rng(0).standard_normal((3, *untouched.input.shape)).astype(np.float32)
    with untouched:
        given = [untouched.infer(picture * np.float32(scale)) for picture, scale in zip(noise, (1, LOUD, -LOUD))]
    return threshold_of_values(float(np.min(given)), float(np.max(given)), label)


def _require_same_outputs(model: onnx.ModelProto, folded: onnx.ModelProto, ends: ForeignEnds, label: str) -> None:
    """Raise OnnxError unless the file and its graph at one size, with other names, give the same result."""
    sides = [side.dim_value for side in only_input(folded, label).type.tensor_type.shape.dim]
    picture = np.random.default_rng(0).standard_normal(sides).astype(np.float32)
    first, second = (
        InMemoryModel(each.SerializeToString(), label).run([ends.output], {ends.input: picture})[0]
        for each in (model, folded)
    )
    if not np.allclose(first, second, rtol=1e-4, atol=1e-4, equal_nan=True):
        raise OnnxError(f"{label} gives other results once its sizes are fixed")


def _batch(model: onnx.ModelProto, label: str) -> int:
    """Return the batch size that a graph is made for, 0 if it is open."""
    sides = only_input(model, label).type.tensor_type.shape.dim
    return max(0, int(sides[0].dim_value)) if sides else 0


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy with its functions inlined, and without constants among its inputs, where IR 3 has them."""
    copy = _copy(model)
    if copy.functions:
        copy = inliner.inline_local_functions(copy)
    inputs = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in graph_inputs(copy)]
    del copy.graph.input[:]
    copy.graph.input.extend(inputs)
    copy.ir_version = max(copy.ir_version, 4)
    return copy
