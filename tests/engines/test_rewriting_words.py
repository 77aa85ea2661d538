from __future__ import annotations

from rtseg.engines.rewriting_words import rewriting_text

BEFORE, AFTER = {"kernels": 127, "bytes": 890_000_000, "macs": 2}, {"kernels": 78, "bytes": 81_940_000, "macs": 1}
SAVED = {"kernels": 49, "bytes": 1, "macs": 1}


def test_what_the_passes_save_is_one_line() -> None:
    applied = [{"name": name, "saved": SAVED} for name in ("sums-before-resize", "average-as-convolution")]
    assert rewriting_text({"applied": applied, "dropped": [], "before": BEFORE, "after": AFTER}) == (
        "graph passes: sums-before-resize, average-as-convolution; 127 kernels become 78, "
        "890 MB read and written become 81.9 MB"
    )


def test_passes_that_were_not_counted_are_called_untimed() -> None:
    told = {"applied": [{"name": "sums-before-resize", "saved": None}], "dropped": [], "before": None, "after": None}
    assert rewriting_text(told) == "graph passes: sums-before-resize; nobody has timed them in TensorRT"


def test_a_pass_that_was_applied_twice_is_named_once() -> None:
    told = {"applied": [{"name": "a", "saved": None}] * 2, "dropped": [], "before": None, "after": None}
    assert rewriting_text(told).startswith("graph passes: a;")


def test_nothing_is_said_where_nothing_was_applied() -> None:
    assert rewriting_text({}) == ""
    assert rewriting_text({"applied": [], "dropped": ["a"], "before": BEFORE, "after": BEFORE}) == ""
