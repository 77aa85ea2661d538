"""Peak memory of `rtseg validate` by number of pictures: it must not grow with it.

    python benchmarks/validate_memory.py -o benchmarks/results/validate-memory-NAME.json

Each number is the peak resident set of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rtseg.artifacts.files import write_text_atomically
from rtseg.benchmarking.environment import environment

PICTURES = (4, 15, 60)


def peak_mib(artifact: Path, count: int) -> float:
    """Peak resident memory of one validation, in MiB."""
    program = (
        "import resource, sys\n"
        "from rtseg.cli import cli\n"
        "cli.main(sys.argv[1:], standalone_mode=False)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    arguments = ["validate", str(artifact), "--data", "streets", "--limit", str(count), "--json"]
    done = subprocess.run([sys.executable, "-c", program, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.splitlines()[-1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    conditions = environment()
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / "affnet.onnx"
        export = ["export", "affnet", "--classes", "streets", "--resolution", "360x480", "-o", str(artifact)]
        subprocess.run([sys.executable, "-m", "rtseg", *export], check=True)
        rows = {count: peak_mib(artifact, count) for count in PICTURES}
    for count, peak in rows.items():
        print(f"{count:>4} pictures  {peak:8.1f} MiB")
    if arguments.output:
        result = {"command": "python benchmarks/validate_memory.py", "environment": conditions, "peak_mib": rows}
        write_text_atomically(arguments.output, json.dumps(result, indent=1) + "\n")
        print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
