"""The pages as a site: built without a warning, every guide in its contents, the whole public API on one page."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rtseg
from rtseg import errors, pipeline
from rtseg.pipeline.results import Result
from tests.docs.markdown import GUIDES, ROOT

API = (ROOT / "docs" / "api.md").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "default"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return folder


def test_the_site_is_built_without_a_warning_and_has_every_guide(site: Path) -> None:
    assert {f"{page.stem}.html" for page in GUIDES} <= {path.name for path in site.iterdir()}


def test_every_local_link_of_the_site_leads_to_a_file(site: Path) -> None:
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue
        for link in re.findall(r'(?:href|src|srcset)="([^"#:?]+)["#]', page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.relative_to(site)}: {link}"


def test_the_site_asks_no_other_host_for_what_it_shows(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="(https?:[^"]*)"', text) == []


def test_every_public_name_is_on_the_page_of_the_api(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    assert [name for name in rtseg.__all__ if f'id="rtseg.{name}"' not in text and f'.{name}"' not in text] == []
    assert [name for name in rtseg.__all__ if f"::: rtseg.{name}\n" not in API and name != "RtsegError"] == []


def test_every_error_and_every_result_is_on_the_page_of_the_api() -> None:
    for found in pkgutil.iter_modules(pipeline.__path__, "rtseg.pipeline."):
        importlib.import_module(found.name)
    results = {kind.__name__ for kind in Result.__subclasses__()}
    kinds = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.RtsegError)
    }
    assert sorted(name for name in results | kinds if not re.search(rf"\b{name}\b", API)) == []


def test_every_guide_is_in_the_table_of_contents() -> None:
    contents = (ROOT / "mkdocs.yml").read_text()
    assert [page.name for page in GUIDES if f": {page.name}\n" not in contents] == []
