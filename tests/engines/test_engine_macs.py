"""Multiply-accumulates of kernels whose own shapes do not settle them: those of the graph's operators, each once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rtseg.engines.audited_layer import AuditedLayer
from rtseg.engines.engine_macs import macs_of_layers
from rtseg.engines.inspector import EngineLayer, LayerTensor
from rtseg.engines.layer_precision import work_of

OUT = LayerTensor("y", "fp16", "HWC", (1, 16, 4, 4))
WEIGHT = LayerTensor("w", "fp16", "HWC", (16, 8, 3, 3))
MACS = 16 * 16 * 8 * 9


def kernel(*operators: str, counted: bool = False, kind: str = "correlation", tactic: str = "") -> AuditedLayer:
    """Return a kernel made from the operators; counted says whether its shapes settle its products."""
    read, held = (LayerTensor("x", "fp16", "HWC", (1, 8, 4, 4)),), (WEIGHT,) if counted else ()
    layer = EngineLayer("k", kind, "", "", tactic, "unknown", read, (OUT,), operators, held)
    return AuditedLayer(layer, work_of(layer), "fp16", None)


def test_a_kernel_whose_shapes_settle_its_products_needs_no_graph() -> None:
    assert macs_of_layers([kernel("/a", counted=True)], {"/a": 7}) == (MACS,)


def test_another_kernel_gets_the_products_of_the_operators_that_it_was_made_from() -> None:
    assert macs_of_layers([kernel("/a", "/relu", "/b")], {"/a": 7, "/b": 5, "/c": 3}) == (12,)


def test_an_operator_of_two_such_kernels_counts_once() -> None:
    assert macs_of_layers([kernel("/a"), kernel("/a", "/b")], {"/a": 7, "/b": 5}) == (7, 5)


def test_what_a_kernel_with_settled_products_computes_is_not_counted_again() -> None:
    kernels = [kernel("/b", "/a"), kernel("/a", counted=True)]
    assert macs_of_layers(kernels, {"/a": MACS, "/b": 5}) == (5, MACS)


def test_of_the_operators_of_a_settled_kernel_the_one_of_its_count_is_taken() -> None:
    kernels = [kernel("/a", "/b", counted=True), kernel("/a")]
    assert macs_of_layers(kernels, {"/a": 5, "/b": MACS}) == (MACS, 5)


def test_added_channels_of_a_settled_kernel_are_not_taken_from_another_operator_that_is_as_large() -> None:
    kernels = [kernel("/a", counted=True), kernel("/b")]
    assert macs_of_layers(kernels, {"/a": MACS - 100, "/b": MACS}) == (MACS, MACS)


def test_without_the_graph_or_without_names_products_stay_unknown() -> None:
    assert macs_of_layers([kernel("/a")], {}) == (None,)
    assert macs_of_layers([kernel()], {"/a": 7}) == (None,)


def test_a_tactic_that_multiplies_less_is_not_counted_by_the_graph() -> None:
    assert macs_of_layers([kernel("/a", tactic="sm80_xmma_fprop_winograd")], {"/a": 7}) == (None,)


def test_a_kernel_without_products_gets_none_from_the_operators_that_it_names() -> None:
    assert macs_of_layers([kernel("/a", kind="kgen"), kernel("/a")], {"/a": 7}) == (0, 7)


NAMES = st.sampled_from(["/a", "/b", "/c", "/d"])


@given(
    st.lists(st.builds(lambda names: kernel(*names), st.lists(NAMES, unique=True)), max_size=6),
    st.dictionaries(NAMES, st.integers(0, 1000)),
)
def test_kernels_that_name_every_operator_have_together_what_the_graph_has(
    kernels: list[AuditedLayer], graph: dict[str, int]
) -> None:
    every = [*kernels, kernel(*graph)]
    assert sum(count or 0 for count in macs_of_layers(every, graph)) == sum(graph.values())
