"""Write the golden vectors: small files by which any language proves that it does to a frame what rtseg does.

    python -m tests.embedding.golden_vectors -o engines/cpp/tests/golden

The same bytes each time, but for the results of whole models, which are ONNX Runtime's on the machine at hand.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.embedding.golden_ends import add_ends
from tests.embedding.golden_format import Writer
from tests.embedding.golden_models import add_models


def write(folder: Path) -> None:
    """Write all cases into the folder, and remove what is of none."""
    writer = Writer()
    add_ends(writer)
    add_models(writer)
    writer.write(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder, engines/cpp/tests/golden")
    write(parser.parse_args().output)


if __name__ == "__main__":
    main()
