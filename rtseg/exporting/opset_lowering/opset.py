"""Convert a static graph of any opset that onnx knows, 11 or newer, to an equal one of the canonical opset."""

from __future__ import annotations

from collections import Counter

import onnx
from onnx import TensorProto, helper

from rtseg.errors import OnnxError, first_line
from rtseg.exporting.opset_lowering.decisions import NEWER, OLDER, REFUSED, SAME, Lowering
from rtseg.exporting.opset_lowering.known import Known
from rtseg.exporting.opset_lowering.site import HINT, Site
from rtseg.graphs.canonical import OPSET
from rtseg.graphs.names import names_in
from rtseg.graphs.view import node_name

OLDEST_OPSET = 11
"""Before this opset Resize and Pad were different operators."""

OWN_DOMAINS = ("", "ai.onnx")


def with_canonical_opset(model: onnx.ModelProto, label: str) -> tuple[onnx.ModelProto, list[str]]:
    """Return an equal model of opset 17, and one phrase for each change. The model itself is not changed.

    Its shapes must be static, its functions inlined; label names it in errors. Empty names at the end of an operator's
    inputs mean absent inputs and are dropped, whatever the opset; so are fields about where the file was made. Raises
    OnnxError for operators that are not ONNX's own, for an opset before 11 or newer than onnx knows, for an operator
    that is invalid at its own opset, and for one without an exact form at opset 17.
    """
    opset = known_opset(model, label)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _drop_newer_fields(copy.graph)
    _drop_absent(copy)
    if opset == OPSET:
        del copy.opset_import[:]
        copy.opset_import.append(helper.make_opsetid("", OPSET))
        return copy, []
    changes = [f"opset {opset} became {OPSET}"]
    try:
        written = Counter(_lower(copy, opset, label))
        del copy.opset_import[:]
        copy.opset_import.append(helper.make_opsetid("", OPSET))
        _require_known(copy, opset, label)
    except onnx.shape_inference.InferenceError as error:
        raise OnnxError(f"{label} is not valid ONNX: {first_line(error)}") from error
    if written:
        counts = ", ".join(f"{number} {name}" for name, number in sorted(written.items()))
        changes.append(f"{counts} written in operators of opset {OPSET}")
    return copy, changes


def known_opset(model: onnx.ModelProto, label: str) -> int:
    """Return the model's opset. Raises OnnxError if it cannot become canonical, and for foreign operators."""
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain not in OWN_DOMAINS})
    if foreign:
        quantized = any("QLinear" in name for name in foreign)
        hint = (
            "quantize it with quant_format=QuantFormat.QDQ, or import the float file and run rtseg quantize"
            if quantized
            else ""
        )
        what = f"{label} has operators that are not ONNX's own"
        raise OnnxError(what, got=", ".join(foreign), expected="none", hint=hint)
    opset = max((entry.version for entry in model.opset_import if entry.domain in OWN_DOMAINS), default=1)
    newest = onnx.defs.onnx_opset_version()
    if opset < OLDEST_OPSET:
        raise OnnxError(f"{label} has an opset that is too old", got=opset, expected=f"{OLDEST_OPSET} or newer")
    if opset > newest:
        raise OnnxError(
            f"{label} has an opset that is too new",
            got=opset,
            expected=f"at most {newest}, the newest that onnx {onnx.__version__} knows",
            hint=HINT,
        )
    return int(opset)


def _drop_newer_fields(graph: onnx.GraphProto) -> None:
    """Remove, in place, what exporters write beside operators since IR 10: stack traces, scopes, devices.

    The canonical IR version has no field for it, and it reveals the machine that made the file. An operator's domain is
    written as ONNX's own, by its short name.
    """
    for node in graph.node:
        for field in ("domain", "overload", "metadata_props", "device_configurations"):
            node.ClearField(field)
    for entry in (graph, *graph.initializer, *graph.input, *graph.output):
        entry.ClearField("metadata_props")


def _drop_absent(model: onnx.ModelProto) -> None:
    """Remove, in place, empty names at the end of each list of inputs and outputs."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            while names and not names[-1]:
                del names[-1]


def _lower(model: onnx.ModelProto, opset: int, label: str) -> list[str]:
    """Write each operator at the canonical opset, in place; return the types of those that were rewritten."""
    known, taken, nodes = Known(model), names_in(model), list(model.graph.node)
    written: list[str] = []
    result: list[onnx.NodeProto] = []
    for node in nodes:
        lowering = _lowering(node, opset, label)
        if lowering is None:
            result.append(node)
            continue
        _require_valid(node, opset, label)
        own = onnx.NodeProto()
        own.CopyFrom(node)
        site = Site(own, known, opset, taken, label)
        lowering(site)
        result += site.nodes
        model.graph.initializer.extend(site.constants)
        if site.nodes != [node]:
            written.append(node.op_type)
    del model.graph.node[:]
    model.graph.node.extend(result)
    del model.graph.value_info[:]
    return written


def _lowering(node: onnx.NodeProto, opset: int, label: str) -> Lowering | None:
    """Return the function that writes the operator at the canonical opset; None if it is the same there."""
    if opset < OPSET:
        changed, lowering = OLDER.get(node.op_type, (0, None))
        return lowering if opset < changed else None
    try:
        version = onnx.defs.get_schema(node.op_type, opset, "").since_version
    except onnx.defs.SchemaError as error:
        raise OnnxError(f"{label} has an operator that opset {opset} lacks", got=node.op_type) from error
    if version <= OPSET:
        return None
    if node.op_type in NEWER:
        return NEWER[node.op_type]
    if node.op_type in SAME:
        return _same
    return _refuse


def _require_valid(node: onnx.NodeProto, opset: int, label: str) -> None:
    """Raise OnnxError unless an operator has the inputs and attributes that its opset requires."""
    if onnx.defs.get_schema(node.op_type, opset, "").deprecated:  # such as GroupNormalization of 18, which still runs
        return
    context = onnx.checker.C.CheckerContext()
    context.ir_version, context.opset_imports = onnx.IR_VERSION, {"": opset}
    try:
        onnx.checker.check_node(node, context)
    except onnx.checker.ValidationError as error:
        raise OnnxError(f"{label} is not valid ONNX: {node_name(node)}: {first_line(error)}") from error


def _same(site: Site) -> None:
    """Write the operator without newer attributes that have their default value."""
    known = onnx.defs.get_schema(site.node.op_type, OPSET, "").attributes
    newer = onnx.defs.get_schema(site.node.op_type, site.opset, "").attributes
    left = [entry.name for entry in site.node.attribute if entry.name not in known]
    for name in left:
        stated = next(entry for entry in site.node.attribute if entry.name == name)
        if name not in newer or helper.get_attribute_value(stated) != helper.get_attribute_value(
            newer[name].default_value
        ):
            raise site.refused(f"the attribute {name}, which came later")
    site.keep(without=tuple(left))


def _refuse(site: Site) -> None:
    raise site.refused(REFUSED.get(site.node.op_type, "an operator that rtseg does not know"))


def _require_known(model: onnx.ModelProto, opset: int, label: str) -> None:
    """Raise OnnxError unless the canonical opset has each operator with its inputs, attributes and types."""
    known = Known(model)
    for node in model.graph.node:
        lacking = _lacking(node, known)
        if lacking:
            raise Site(node, known, opset, set(), label).refused(lacking)


def _lacking(node: onnx.NodeProto, known: Known) -> str:
    """Return what the canonical opset lacks for an operator; empty if it has all."""
    try:
        schema = onnx.defs.get_schema(node.op_type, OPSET, "")
    except onnx.defs.SchemaError:
        return "an operator that came or went"
    if schema.deprecated:
        return "an operator that went"
    unknown = [entry.name for entry in node.attribute if entry.name not in schema.attributes]
    if unknown:
        return f"the attribute {unknown[0]}"
    types = {entry.type_param_str: entry.allowed_type_strs for entry in schema.type_constraints}
    for names, formals, most in (
        (node.input, schema.inputs, schema.max_input),
        (node.output, schema.outputs, schema.max_output),
    ):
        if len(names) > most:
            return f"{len(names)} inputs or outputs"
        for position, name in enumerate(names):
            formal = formals[min(position, len(formals) - 1)].type_str
            kind = _type_name(known, name)
            if kind and kind not in types.get(formal, [formal]):
                return f"{name} as {kind}"
    return ""


def _type_name(known: Known, tensor: str) -> str:
    """Return a tensor's type as ONNX's schemas write it; empty if it is left out or unknown."""
    try:
        element = known.element(tensor) if tensor else 0
    except KeyError:
        return ""
    return f"tensor({TensorProto.DataType.Name(element).lower()})" if element else ""
