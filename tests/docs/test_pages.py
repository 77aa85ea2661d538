"""Links lead somewhere, words are plain, and the README stays short."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.docs.markdown import GUIDES, PAGES, README, ROOT, anchors, blocks, name_of, prose
from tests.toml_files import read_toml

LINK = re.compile(r"\]\(([^)\s]+)\)")
SOURCE = re.compile(r'\b(?:src|srcset)="([^"]+)"')
PICTURES = sorted((ROOT / "docs" / "pictures").glob("*-light.svg"))
MEASURED = re.compile(r"(?<![\w.-])\d[\d.,]*\s?(?:ms|FPS|fps|MiB|MB|GMAC|points)\b")
PLAIN = [README, ROOT / "ARCHITECTURE.md", *GUIDES]


def opening(page: Path) -> str:
    """Return the paragraph below the heading of a page."""
    return page.read_text().split("\n\n")[1]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_link_to_a_file_leads_to_it_and_to_a_heading_that_it_has(page: Path) -> None:
    for link in (*LINK.findall(prose(page)), *SOURCE.findall(prose(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_link_to_elsewhere_is_a_whole_address(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            assert re.fullmatch(r"https://[\w.-]+\.[a-z]+(/\S*)?|mailto:\S+", link), link


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 120


def test_the_architecture_is_short() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PLAIN, ids=name_of)
def test_the_words_of_a_page_are_plain(page: Path) -> None:
    assert re.findall(r"\btold\b|\b[Tt]ells? of\b|\bin words\b", page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_installs_rtseg_from_an_index(page: Path) -> None:
    """Nothing publishes it: a clone, a wheel file, or an extra of what is installed already."""
    assert re.findall(r"pip install (?:-\S+ )*['\"]?rtseg\b", page.read_text()) == []


@pytest.mark.parametrize("page", [page for page in GUIDES if page.stem != "index"], ids=name_of)
def test_a_guide_opens_with_a_short_paragraph_on_what_the_reader_gets(page: Path) -> None:
    assert len(opening(page).splitlines()) <= 4
    assert re.search(r"\byou(r|rs)?\b", opening(page), re.IGNORECASE)


def test_no_two_guides_open_with_the_same_words() -> None:
    first = [opening(page).split()[:3] for page in GUIDES]
    assert [words for words in first if first.count(words) > 1] == []


@pytest.mark.parametrize("page", [page for page in [README, *GUIDES] if page.stem != "results"], ids=name_of)
def test_measured_figures_stand_on_the_page_of_results_alone(page: Path) -> None:
    assert MEASURED.findall(prose(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_make_command_is_a_target(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    if page == README:
        named = re.findall(r"\bmake ([a-z-]+)", page.read_text())
        assert set(named) >= {"demo", "test"}
    else:
        named = re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    assert set(named) <= set(targets)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_an_extra_that_a_page_names_exists(page: Path) -> None:
    extras = set(read_toml(ROOT / "pyproject.toml")["project"]["optional-dependencies"])
    named = re.findall(r"(?:\.|\.whl|rtseg)\[([a-z,]+)\]", page.read_text())
    assert {extra for names in named for extra in names.split(",")} <= extras


@pytest.mark.parametrize("light", PICTURES, ids=lambda path: path.name)
def test_the_dark_twin_of_a_picture_differs_in_its_colours_alone(light: Path) -> None:
    dark = light.with_name(light.name.replace("-light", "-dark"))
    style = re.compile(r"<style>.*?</style>", re.DOTALL)
    plain, other = light.read_text(), dark.read_text()
    assert style.sub("", plain) == style.sub("", other)
    assert re.sub(r"#[0-9a-f]{6}", "", plain) == re.sub(r"#[0-9a-f]{6}", "", other) and plain != other


def test_the_figures_of_the_page_on_rtx_cards_are_those_of_the_tracked_verdicts() -> None:
    rows = json.loads((ROOT / "benchmarks" / "results" / "rtx-verdicts.json").read_text())["verdicts"]
    affnet = {(row["precision"], row["compute_capability"]): row for row in rows if row["network"] == "affnet"}
    page = " ".join((ROOT / "engines" / "RTX.md").read_text().split())
    for key in (("fp16", "7.5"), ("fp16", "8.6")):
        size, moved = (affnet[key][name] / 1e6 for name in ("engine_bytes", "bytes"))
        assert f"{size:.0f} MB and moves {moved:.0f} MB" in page
    moved = {precision: affnet[precision, "8.6"]["bytes"] / 1e6 for precision in ("int8", "fp16")}
    assert f"moves {moved['int8']:.0f} MB in INT8 and {moved['fp16']:.0f} MB in FP16" in page


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "embedding.md"], ids=name_of)
def test_the_program_in_cpp_is_the_example_that_is_built_and_run(page: Path) -> None:
    example = (ROOT / "examples" / "cpp" / "ten_lines.cpp").read_text()
    (program,) = (block.text for block in blocks(page) if block.language == "cpp" and "int main" in block.text)
    lines = [line.partition("//")[0].strip().rstrip(";") for line in program.splitlines()]
    calls = [line for line in lines if "rtseg::" in line or "cv::" in line]
    assert len(calls) >= 5 and [line for line in calls if line not in example] == []
