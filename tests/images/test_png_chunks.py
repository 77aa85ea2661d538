from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from rtseg.images.headers import DamagedError
from rtseg.images.png_chunks import GREY, MOST_CHUNKS, PALETTE, chunks, indices_as_grey, png_facts, still_picture
from tests.images.picture_files import COLOUR, WHOLE, chunk, png, stored_by_pillow


def pixels(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def kinds(data: bytes) -> list[bytes]:
    return [found.kind for found in chunks(data)]


def test_chunks_are_given_up_to_the_end_of_the_picture_and_no_further() -> None:
    assert kinds(WHOLE["PNG"] + b"behind the end") == [b"IHDR", b"IDAT", b"IEND"]
    assert b"".join(found.whole for found in chunks(WHOLE["PNG"])) == WHOLE["PNG"][8:]


@pytest.mark.parametrize("kept", [8, 12, 20, 33, 60, -12, -4, -1])
def test_a_file_that_ends_early_is_damaged(kept: int) -> None:
    with pytest.raises(DamagedError, match="of which"):
        list(chunks(WHOLE["PNG"][:kept]))


def test_facts_are_those_of_the_header() -> None:
    header, colour_type, palette = png_facts(png(3, 5, bits=4, colour_type=PALETTE, more=[chunk(b"PLTE", b"abcdef")]))
    assert (header.height, header.width, header.bits, colour_type, palette) == (3, 5, 4, PALETTE, b"abcdef")


@pytest.mark.parametrize("damaged", [b"IDAT", b"iHDR"])
def test_a_file_that_does_not_begin_with_its_header_is_damaged(damaged: bytes) -> None:
    with pytest.raises(DamagedError, match="does not begin with its header"):
        png_facts(WHOLE["PNG"].replace(b"IHDR", damaged))


def test_texts_and_profiles_are_left_out_and_the_pixels_stay() -> None:
    told = PngImagePlugin.PngInfo()
    told.add_text("key", "word " * 500, zip=True)
    told.add_itxt("other", "word")
    written = stored_by_pillow("PNG", pnginfo=told, icc_profile=b"profile", dpi=(72, 72))
    assert {b"zTXt", b"iTXt", b"iCCP", b"pHYs"} <= set(kinds(written))
    assert kinds(still_picture(written)) == [b"IHDR", b"pHYs", b"IDAT", b"IEND"]
    np.testing.assert_array_equal(pixels(still_picture(written)), COLOUR[..., ::-1])


def test_of_an_animation_the_still_picture_is_left() -> None:
    frames = [Image.fromarray(np.roll(COLOUR, shift, axis=1)) for shift in range(3)]
    written = io.BytesIO()
    frames[0].save(written, format="PNG", save_all=True, append_images=frames[1:])
    assert b"acTL" in kinds(written.getvalue())
    still = still_picture(written.getvalue())
    assert set(kinds(still)) == {b"IHDR", b"IDAT", b"IEND"}
    np.testing.assert_array_equal(pixels(still), COLOUR[..., ::-1])


def test_a_file_of_countless_empty_chunks_is_refused() -> None:
    data = png(3, 5, more=[chunk(b"teSt", b"") * MOST_CHUNKS])
    with pytest.raises(DamagedError, match=f"a PNG of more than {MOST_CHUNKS} chunks"):
        png_facts(data)
    assert png_facts(png(3, 5, more=[chunk(b"teSt", b"") * 1000])).header.width == 5


def test_a_file_without_such_chunks_is_given_as_it_is() -> None:
    assert still_picture(WHOLE["PNG"]) is WHOLE["PNG"]


def test_a_palette_png_becomes_the_grey_one_of_its_indices() -> None:
    indices = np.random.default_rng(0).integers(0, 256, (6, 7)).astype(np.uint8)
    picture = Image.fromarray(indices).convert("P")
    picture.putpalette(bytes(range(255, -1, -1)) * 3)
    written = io.BytesIO()
    picture.save(written, format="PNG", transparency=3)
    grey = indices_as_grey(written.getvalue())
    assert png_facts(grey).colour_type == GREY
    np.testing.assert_array_equal(pixels(grey), indices)


def test_a_damaged_checksum_of_the_pixels_is_not_mended_on_the_way() -> None:
    damaged = bytearray(stored_by_pillow("PNG", COLOUR[..., 0]))
    damaged[-13] ^= 1  # the last byte of the checksum of IDAT
    assert indices_as_grey(bytes(damaged)) == bytes(damaged)
