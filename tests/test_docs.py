"""What the documentation says is there, is there; what can be generated, is up to date."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from checkout import start_script
from relevance_distillery.hooks.checks import known_parameters
from relevance_distillery.judges.base import KINDS
from relevance_distillery.pipeline_registry import PIPELINES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "conf" / "README.md", *DOCS.rglob("*.md")]
)

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(
    r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|<(?:img|a)\b[^>]*(?:src|href)=\"([^\"]+)"
)
_PARAMS = re.compile(r"--params[= ](?:\"([^\"]*)\"|'([^']*)'|(\S+))")
_MAKE = re.compile(r"(?:^|[=\w] )make ([a-z]+)", re.MULTILINE)
_INLINE_MAKE = re.compile(r"`make ([a-z]+)`")
_PIPELINE = re.compile(r"--pipelines?=([a-z_]+)")

TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _heading_ids(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", name.lower()).strip().replace(" ", "-") for name in headings}


def _wrong(find: Callable[[Path, str], Iterable[str]]) -> list[str]:
    """What a check finds on all pages, each with its page."""
    return [
        f"{page.relative_to(ROOT)}: {found}"
        for page, text in TEXTS.items()
        for found in find(page, text)
    ]


def test_links_and_images_resolve() -> None:
    def broken(page: Path, text: str) -> Iterator[str]:
        for match in _LINK.finditer(_prose(page)):
            target = match.group(1) or match.group(2)
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path) if path else page
            is_page = file.is_file() and file.suffix == ".md"
            if not file.exists() or (is_page and anchor and anchor not in _heading_ids(file)):
                yield target

    assert _wrong(broken) == []


def test_parameters_that_are_typed_exist() -> None:
    names, groups = known_parameters(ROOT / "conf")

    def unknown(page: Path, text: str) -> Iterator[str]:
        for match in _PARAMS.finditer(text):
            typed = next(part for part in match.groups() if part is not None).rstrip("`.,;")
            for part in typed.split(","):
                name = part.partition("=")[0].strip()
                known = name in names or (name.split(".")[0] in groups | names and "." in name)
                known = known or name in ("GROUP.KEY", "typed")
                if re.fullmatch(r"[\w.]+", name) and not known:
                    yield name

    assert _wrong(unknown) == []


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    def unknown(page: Path, text: str) -> set[str]:
        typed = {name for block in _FENCE.findall(text) for name in _MAKE.findall(block)}
        return (typed | set(_INLINE_MAKE.findall(text))) - targets

    assert _wrong(unknown) == []


def test_pipelines_that_are_typed_exist() -> None:
    assert _wrong(lambda page, text: set(_PIPELINE.findall(text)) - set(PIPELINES)) == []


def test_no_path_of_a_machine() -> None:
    path = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users)/\S*")
    assert _wrong(lambda page, text: path.findall(text)) == []


def test_every_fence_is_closed() -> None:
    fence = re.compile(r"^```", re.MULTILINE)
    assert _wrong(lambda page, text: ["open fence"] * (len(fence.findall(text)) % 2)) == []


def test_the_parameter_reference_is_up_to_date() -> None:
    status, said = start_script(DOCS / "tools" / "parameters.py", "--check").wait()
    assert status == 0, said


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "fonts.googleapis" not in (tmp_path / "site" / "index.html").read_text()


def test_every_page_is_in_the_navigation_or_linked_from_one() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    results = (DOCS / "results" / "index.md").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).as_posix()
        assert name in navigation or (name.startswith("results/") and page.name in results), name


def test_readme_reaches_every_page_in_two_steps() -> None:
    def links(page: Path) -> set[Path]:
        text = _FENCE.sub("", page.read_text(encoding="utf-8"))
        targets = {match.group(1) or "" for match in _LINK.finditer(text)}
        files = {(page.parent / target.partition("#")[0]).resolve() for target in targets}
        return {file for file in files if file.suffix == ".md" and file.is_file()}

    first = links(ROOT / "README.md")
    reached = first | {page for near in first for page in links(near)}
    assert {page.resolve() for page in DOCS.rglob("*.md")} - reached == set()


def test_every_pipeline_and_every_judge_is_described() -> None:
    commands = TEXTS[DOCS / "reference" / "commands.md"]
    labeling = TEXTS[DOCS / "pipelines" / "labeling.md"]
    assert [
        name for name in PIPELINES if f"={name}" not in commands and f"`{name}`" not in commands
    ] == ["__default__"]
    assert [
        kind for kind in KINDS if f"`{kind}`" not in labeling and f"`{kind}:" not in labeling
    ] == []


def test_the_docs_stay_short() -> None:
    pages = [page for page in PAGES if page.parent.name != "conf"]
    assert sum(len(TEXTS[page].split()) for page in pages) <= 45_000
