"""The examples run as they stand, and give what the commands give."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import rtseg
from examples.asyncio_server import serve
from examples.chain import chain
from examples.embed_python import label_maps
from examples.torch_tensors import label
from tests.conftest import Outcome
from tests.embedding.golden_format import GOLDEN

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / "export" / "checkpoints" / "affnet-streets.safetensors"
MODEL = GOLDEN / "fp32-logits.onnx"
DATA, SIZE, PICTURES = "streets:96x128", "96x128", 4


@pytest.fixture
def segmenter() -> Iterator[rtseg.Segmenter]:
    with rtseg.load(MODEL, threads=1) as opened:
        yield opened


def random_images(*sizes: tuple[int, int]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    coarse = [random.integers(0, 256, (4, 5, 3), np.uint8) for _ in sizes]
    return [cv2.resize(image, (width, height)) for image, (height, width) in zip(coarse, sizes)]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_no_longer_than_a_page(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= {"chain.py": 30}.get(path.name, 40)


def test_the_chain_gives_the_miou_that_the_commands_give(
    cli: Callable[..., Outcome], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for package in ("tensorrt_rtx", "openvino"):
        pytest.importorskip(package)
    miou = chain(str(CHECKPOINT), DATA, tmp_path / "chain", SIZE, PICTURES, seconds=0.1)
    assert "proven True, for GPUs of compute capability 8.9" in capfd.readouterr().out
    fp32, table, int8 = (tmp_path / name for name in ("fp32.onnx", "table.json", "int8.onnx"))
    commands = (
        ("export", "--checkpoint", CHECKPOINT, "--resolution", SIZE, "-o", fp32),
        ("calibrate", fp32, "--data", DATA, "--images", PICTURES, "-o", table),
        ("quantize", fp32, "--table", table, "--to", "int8", "-o", int8),
        ("validate", int8, "--against", fp32, "--data", DATA, "--limit", PICTURES, "--json"),
    )
    for command in commands:
        outcome = cli(*command)
        assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["candidate"]["accuracy"]["miou"] == miou
    assert int8.read_bytes() == (tmp_path / "chain" / "int8.onnx").read_bytes()


def test_numbered_pictures_are_labelled_one_after_the_other(segmenter: rtseg.Segmenter, tmp_path: Path) -> None:
    images = random_images((40, 60), (40, 60), (40, 60))
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{number:04d}.png"), image[..., ::-1])
    labels = [found.copy() for found in label_maps(segmenter, str(tmp_path / "%04d.png"))]
    np.testing.assert_array_equal(labels, [segmenter(image) for image in images])


def test_the_loop_says_of_each_frame_what_is_most_in_it(segmenter: rtseg.Segmenter, tmp_path: Path) -> None:
    (image,) = random_images((40, 60))
    cv2.imwrite(str(tmp_path / "0000.png"), image[..., ::-1])
    command = [sys.executable, "-m", "examples.embed_python", MODEL, tmp_path / "%04d.png"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"mostly class {np.bincount(segmenter(image).ravel()).argmax()}\n"


def test_clients_of_the_server_share_one_segmenter(segmenter: rtseg.Segmenter) -> None:
    images = random_images((40, 60), (33, 47), (64, 32), (1, 1), (37, 53), (16, 90))

    async def ask(port: int, image: np.ndarray) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{image.shape[0]} {image.shape[1]}\n".encode() + image.tobytes())
        labels = await reader.readexactly(image.shape[0] * image.shape[1])
        writer.close()
        await writer.wait_closed()
        return labels

    async def asked() -> list[bytes]:
        async with await serve(segmenter, 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await asyncio.gather(*(ask(port, image) for image in images))

    assert asyncio.run(asked()) == [segmenter(image).tobytes() for image in images]


def test_the_server_hangs_up_on_a_client_that_sends_no_size(
    segmenter: rtseg.Segmenter, capfd: pytest.CaptureFixture[str]
) -> None:
    async def answer() -> bytes:
        async with await serve(segmenter, 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"a picture, please\n")
            said = await reader.read()
            writer.close()
            await writer.wait_closed()
            return said

    assert asyncio.run(answer()) == b""
    assert capfd.readouterr().err.startswith("a client was left: ")


def test_a_tensor_and_a_part_of_one_are_labelled_where_they_lie(segmenter: rtseg.Segmenter) -> None:
    (image,) = random_images((40, 60))
    tensor = torch.from_numpy(image)
    assert np.shares_memory(tensor.numpy(), image)
    np.testing.assert_array_equal(label(segmenter, tensor), segmenter(image))
    np.testing.assert_array_equal(label(segmenter, tensor[5:35, 10:50]), segmenter(image[5:35, 10:50].copy()))


def test_the_shares_of_a_random_tensor_add_up() -> None:
    command = [sys.executable, "-m", "examples.torch_tensors", MODEL]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    shares = [float(line.partition(": ")[2].rstrip("%")) for line in done.stdout.splitlines()]
    assert 99 < sum(shares) < 101
