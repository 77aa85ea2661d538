"""Fills the tables of docs/results.md, from benchmarks/results and the shipped checkpoints. Measures nothing.

python benchmarks/results_page.py            # writes each table between its markers, <!-- table NAME -->
python benchmarks/results_page.py --check    # exit 1 if a table is not what would be written
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CHECKPOINTS = ROOT / "export" / "checkpoints"
PAGE = ROOT / "docs" / "results.md"

Result = dict[str, Any]


def read(name: str) -> Result:
    """Return a tracked result by its name."""
    found: Result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, words: int = 1) -> str:
    """Return a table in Markdown: the first columns, as many as words, to the left and the others to the right."""
    marks = [" --- " if index < words else " ---: " for index in range(len(headings))]
    lines = [f"| {' | '.join(headings)} |", f"|{'|'.join(marks)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def sourced(shown: str, *names: str) -> str:
    """Return a table with a line under it: files, machine and commit."""
    environment = read(names[0])["environment"]
    machine = f"{environment['cpu']['model']}, {environment['cpu']['available_cores']} cores, no GPU"
    commits = dict.fromkeys(read(name)["environment"]["checkout"]["commit"][:7] for name in names)
    links = ", ".join(f"[{name}](../benchmarks/results/{name}.json)" for name in names)
    return f"{shown}\n\n{machine}; commit {', '.join(commits)}; {links}."


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def milliseconds(row: Result) -> str:
    """Return the median in ms, marked with ~ where it is not known within 1 %."""
    summary = row.get("summary", row)
    digits = 0 if summary["median_ms"] >= 100 else 1 if summary["median_ms"] >= 10 else 2
    return f"{'~' if row['status'] == 'UNSTABLE' else ''}{summary['median_ms']:.{digits}f}"


def checkpoints() -> str:
    rows = []
    for path in sorted(CHECKPOINTS.glob("*.safetensors.json")):
        details = json.loads(path.read_text(encoding="utf-8"))["details"]
        name = path.name.removesuffix(".safetensors.json")
        data = "CamVid" if "camvid" in name else "rendered scenes"
        rows.append((f"[{name}](../export/checkpoints/{name}.md)", data, percent(details["validation_miou"])))
    return table(("checkpoint", "validation split of", "mIoU"), rows, words=2)


def int8_accuracy() -> str:
    rows = []
    for name in ("int8-accuracy-affnet-camvid", "int8-accuracy-s2fpn18-camvid"):
        result = read(name)
        network = result["checkpoint"].removesuffix(".safetensors")
        for way, row in result["rows"].items():
            target, _, runner = way.partition(", by ")
            low, high = row["interval_points"]
            share = row["int8_share_of_macs"]
            rows.append(
                (
                    network,
                    f"NNCF {result['nncf']}" if target == "NNCF" else f"`{target}`",
                    runner,
                    percent(row["reference"]["miou"], 2),
                    f"{row['difference_points']:+.2f} ({low:+.2f} to {high:+.2f})",
                    "-" if share is None else percent(share, 2),
                )
            )
    heads = ("checkpoint", "`--target`", "run by", "FP32 mIoU", "points of mIoU", "INT8 of the MACs")
    return sourced(table(heads, rows, words=3), "int8-accuracy-affnet-camvid", "int8-accuracy-s2fpn18-camvid")


INT8_WAYS = {
    "FP32, onnxruntime": "FP32, ONNX Runtime",
    "INT8 for onnxruntime, onnxruntime": "INT8, ONNX Runtime",
    "INT8 for tensorrt, openvino": "INT8 for tensorrt, OpenVINO",
    "INT8 for openvino, openvino": "INT8 for openvino, OpenVINO",
    "INT8 labels, openvino": "the same, labels in the graph",
    "NNCF labels, openvino": "NNCF, labels in the graph",
    "INT8 for openvino, openvino-bf16": "INT8 for openvino, rest bfloat16",
    "NNCF labels, openvino-bf16": "NNCF, rest bfloat16",
}


def int8_speed() -> str:
    results = [read(f"int8-{name}-epyc-2cores") for name in ("affnet-19classes", "affnet", "s2fpn18")]
    rows = []
    for way, heading in INT8_WAYS.items():
        cells = [
            f"{milliseconds(result['rows'][way])} ({result['times_as_fast_as_fp32'][way]:.1f})" for result in results
        ]
        rows.append((heading, *cells))
    return sourced(
        table(("the whole frame, 1024x2048", *(result["network"] for result in results)), rows),
        "int8-affnet-19classes-epyc-2cores",
        "int8-affnet-epyc-2cores",
        "int8-s2fpn18-epyc-2cores",
    )


def latency() -> str:
    rows = []
    for size in ("512x1024", "1024x2048"):
        found = read(f"bench-{size}-xeon-2cores")["rows"]
        for network in dict.fromkeys(row["network"] for row in found):
            mine = {row["boundary"]: row for row in found if row["network"] == network}
            claims = {
                f"{claim['latency_ms']:g} ms, {claim['gpu']}"
                if claim["latency_ms"]
                else f"{claim['fps']:g} FPS, {claim['gpu']}"
                for claim in mine["network"]["paper"]
            }
            times = (milliseconds(mine[boundary]) for boundary in ("network", "engine", "frame"))
            rows.append((network, size, *times, "; ".join(sorted(claims)).replace("NVIDIA GeForce ", "") or "-"))
    return sourced(
        table(("network", "size", "`network`", "`engine`", "`frame`", "the paper's, on its GPU"), rows, words=2),
        "bench-512x1024-xeon-2cores",
        "bench-1024x2048-xeon-2cores",
    )


def beside_pytorch() -> str:
    rows = []
    for comparison in read("cpu-epyc-2cores")["comparisons"].values():
        ours, torch = comparison["rows"]["rtseg"], comparison["rows"]["torch"]
        ratio = comparison["ratio"]
        title = comparison["title"].replace(" -> ", " to ")
        rows.append((title, milliseconds(ours), milliseconds(torch), f"{ratio:.0f}" if ratio > 10 else f"{ratio:.1f}"))
    return sourced(table(("work", "rtseg, ms", "PyTorch, ms", "ratio"), rows), "cpu-epyc-2cores")


TABLE_FORMATS = {"latency": ".1f", "fps": ".2f", "parameters": ".2f", "macs": ".2f", "weights": ".1f"}


def paper_table(name: str) -> str:
    """Return a paper's table in its own columns, what was measured here in a line below each of the paper's."""
    result = read(name)
    about, columns, timed = result["table"], result["table"]["columns"], result["rows"]
    rows: list[Sequence[object]] = []
    for line in result["lines"]:
        source = "" if line["source"] == about["label"] else f", {line['source']}"
        rows.append((line["label"] + source, *(cell["printed"] or "-" for cell in line["cells"])))
        ours = [here(cell, column, timed) for cell, column in zip(line["cells"], columns)]
        if any(cell != "-" for cell in ours):
            rows.append(("*here*", *ours))
    heads = [f"{column['heading']} {column['resolution'] or ''}".strip() for column in columns]
    gpu = about["gpu"] or "GPU not stated"
    caption = (
        f"### {about['id']}\n\n{about['paper']['short']}, {about['label']}, {about['caption']}; paper's GPU: {gpu}."
    )
    return sourced(f"{caption}\n\n{table((about['heading'], *heads), rows)}", name)


def here(cell: Result, column: Result, timed: Sequence[Result]) -> str:
    """Return what was counted or measured here beside a cell of a paper."""
    form = TABLE_FORMATS.get(column["metric"], "")
    if cell["counted"] is not None:
        return format(cell["counted"], form)
    place = cell["rows"][0] if cell["rows"] else None
    if place is None or timed[place]["summary"] is None:
        return "-"
    return ("~" if timed[place]["status"] == "UNSTABLE" else "") + format(cell["here"][0], form)


def papers_tables() -> str:
    return "\n\n".join(paper_table(path.stem) for path in sorted(RESULTS.glob("table-*.json")))


def rtx_verdicts() -> str:
    result = read("rtx-verdicts")
    asked: dict[tuple[str, str], list[str]] = {}
    for row in result["verdicts"]:
        asked.setdefault((row["precision"], row["compute_capability"]), []).append(row["verdict"])
    capabilities = sorted({capability for _, capability in asked}, key=lambda text: tuple(map(int, text.split("."))))
    rows = []
    for precision in dict.fromkeys(precision for precision, _ in asked):
        cells = (asked[precision, capability] for capability in capabilities)
        rows.append(
            (precision.upper(), *(f"{verdicts.count('built as asked')} of {len(verdicts)}" for verdicts in cells))
        )
    return table(("precision", *capabilities), rows)


def rtx_rewriting() -> str:
    rows = []
    for row in read("rtx-rewriting")["rows"]:
        if row["resolution"] == "1024x2048":
            sides = (row["before"], row["after"])
            kernels, megabytes, macs = (
                f"{form(sides[0])} → {form(sides[1])}"
                for form in (
                    lambda side: str(side["kernels"]),
                    lambda side: f"{side['bytes'] / 1e6:.0f}",
                    lambda side: f"{side['macs'] / 1e9:.1f}",
                )
            )
            rows.append((row["network"], row["graph"], row["interface"], kernels, megabytes, macs))
    return table(("network", "graph", "ends with", "kernels", "MB", "GMAC"), rows, words=3)


def cpp_beside_python() -> str:
    rows = []
    for row in read("cpp-against-python-xeon-2cores")["rows"]:
        first = row["first_label"]
        rows.append(
            (
                row["backend"],
                row["precision"],
                *(f"{row['median_ms'][language]:.2f}" for language in ("cpp", "python")),
                *(f"{first[language]['seconds']:.2f}" for language in ("cpp", "python")),
            )
        )
    heads = (
        "backend",
        "precision",
        "C++, ms",
        "Python, ms",
        "C++, s to the first label",
        "Python, s to the first label",
    )
    return sourced(table(heads, rows, words=2), "cpp-against-python-xeon-2cores")


def equal_labels() -> str:
    rows = read("cpp-labels")["rows"]
    pictures = sum(row["pictures"] for row in rows)
    same = {language: sum(row[f"identical_in_{language}"] for row in rows) for language in ("cpp", "c")}
    counted = table(
        ("language", "label maps", "equal to Python's on the same backend"),
        [(name, f"{pictures:,}", f"{same[key]:,}") for name, key in (("C++", "cpp"), ("C", "c"))],
    )
    return sourced(counted, "cpp-labels")


def calibration() -> str:
    result = read("calibration-affnet-xeon-2cores")
    rows = []
    for name, heading in (("rtseg", "`rtseg calibrate`"), ("onnxruntime", "ONNX Runtime's percentile calibrator")):
        runs = result["runs"][name]
        best = min(runs, key=lambda run: run["seconds"])
        peak = max(run["peak_mib"] for run in runs)
        rows.append((heading, best["pictures"], f"{best['seconds']:.1f}", f"{peak:.0f}"))
    many = result["many"]
    rows.append(("`rtseg calibrate`", many["pictures"], f"{many['seconds']:.1f}", f"{many['peak_mib']:.0f}"))
    return sourced(
        table(("affnet, 1024x2048", "pictures", "seconds", "peak MiB"), rows), "calibration-affnet-xeon-2cores"
    )


def memory() -> str:
    peaks = read("validate-memory-epyc-2cores")["peak_mib"]
    return sourced(
        table(("pictures", *peaks), [("peak MiB of `rtseg validate`", *(f"{peak:.0f}" for peak in peaks.values()))]),
        "validate-memory-epyc-2cores",
    )


TABLES: dict[str, Callable[[], str]] = {
    "checkpoints": checkpoints,
    "int8-accuracy": int8_accuracy,
    "int8-speed": int8_speed,
    "latency": latency,
    "beside-pytorch": beside_pytorch,
    "papers-tables": papers_tables,
    "rtx-verdicts": rtx_verdicts,
    "rtx-rewriting": rtx_rewriting,
    "cpp-beside-python": cpp_beside_python,
    "equal-labels": equal_labels,
    "calibration": calibration,
    "memory": memory,
}


def with_tables(page: str) -> str:
    """Return a page with each table between its markers. Raises KeyError for a name that is no table's."""
    marked = re.compile(r"<!-- table (\S+) -->\n.*?<!-- /table -->", re.DOTALL)
    return marked.sub(lambda found: f"<!-- table {found[1]} -->\n\n{TABLES[found[1]]()}\n\n<!-- /table -->", page)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a table is another one")
    before = PAGE.read_text(encoding="utf-8")
    after = with_tables(before)
    if parser.parse_args().check:
        return int(before != after)
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
