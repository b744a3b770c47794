"""What documentation and comments point at is there: links, anchors of headings, and paths.

A file that moves takes its citations with it, or these tests fail.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from devenv import data

ROOT = data.root()
TOP_PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
PAGES = sorted([*(page for page in TOP_PAGES if page.exists()), *(ROOT / "docs").rglob("*.md")])
FOLDERS = ("devenv", "tests", "bench", "docs", "tools", "profiles", "manifests", "images")
PYTHON_FOLDERS = ("devenv", "tests", "bench")
SOURCES = sorted(path for name in PYTHON_FOLDERS for path in (ROOT / name).rglob("*.py"))

FENCE = re.compile(r"^ {0,3}```.*?^ {0,3}```[^\n]*$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`[^`]*`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
EXTERNAL = re.compile(r"^[a-z][a-z0-9+.-]*:")
HEADING = re.compile(r"^#{1,6} +(.+?) *#* *$", re.MULTILINE)
# A path of this repository. What precedes it must not make it the end of a longer path.
PATH = re.compile(rf"(?<![\w./~-])(?:{'|'.join(FOLDERS)})/[\w./-]+\.(?:py|md|yaml|json)\b")
# A module without devenv/ before it: it leads nowhere from the root.
ROOMS = sorted(folder.parent.name for folder in (ROOT / "devenv").glob("[a-z]*/__init__.py"))
ROOM_PATH = re.compile(rf"(?<![\w./~-])(?:{'|'.join(ROOMS)})/[\w./-]+\.py\b")
PAGE = re.compile(r"(?<![\w/~-])[\w./-]+\.md\b")
# Stands for any name in a path such as devenv/cli/NAME.py.
PLACEHOLDER = re.compile(r"/[A-Z]+\b")
# Tokens after which a string is a statement of its own: a docstring, or one beside an attribute.
LINE_STARTS = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}
LAYOUT = {tokenize.NL, tokenize.COMMENT}


def prose(markdown: str) -> str:
    """Return a page without its code, in which brackets are no links."""
    return CODE_SPAN.sub("", FENCE.sub("", markdown))


def anchors(markdown: str) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    slugs: list[str] = []
    for heading in HEADING.findall(FENCE.sub("", markdown)):
        text = LINK.sub(lambda link: link[0][1 : link[0].index("]")], heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        repeats = sum(earlier == slug or earlier.startswith(f"{slug}-") for earlier in slugs)
        slugs.append(f"{slug}-{repeats}" if slug in slugs else slug)
    return set(slugs)


def broken_link(page: Path, link: str) -> str:
    """Return what is wrong with a relative link, "" if nothing is."""
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.is_relative_to(ROOT):
        return f"{link} leads out of the repository"
    if not target.exists():
        return f"{link} leads nowhere"
    if anchor and anchor not in anchors(target.read_text()):
        return f"{link}: {target.name} has no such heading"
    return ""


def remarks(source: str) -> Iterator[str]:
    """Yield the comments and docstrings of a Python source."""
    before = tokenize.ENCODING
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        starts_line = before in LINE_STARTS
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and starts_line):
            yield token.string
        if token.type not in LAYOUT:
            before = token.type


def missing_paths(text: str, *patterns: re.Pattern[str]) -> list[str]:
    """Return the paths that a text names and the repository does not have."""
    cited_paths = {path for pattern in patterns for path in pattern.findall(text)}
    real_paths = (path for path in cited_paths if not PLACEHOLDER.search(path))
    return sorted(path for path in real_paths if not (ROOT / path).exists())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    links = [link for link in LINK.findall(prose(page.read_text())) if not EXTERNAL.match(link)]
    problems = [problem for link in links if (problem := broken_link(page, link))]
    assert problems == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_exists(page):
    assert missing_paths(page.read_text(), PATH, ROOM_PATH) == []


def test_every_path_in_a_comment_or_docstring_exists():
    missing = {}
    for source in SOURCES:
        text = "\n".join(remarks(source.read_text()))
        if paths := missing_paths(text, PATH, ROOM_PATH, PAGE):
            missing[str(source.relative_to(ROOT))] = paths
    assert missing == {}


def test_anchors_are_those_of_github():
    headings = "# What `a b` does\n\n## Ports, adapters, fakes\n\n## Twice\n\n## Twice\n"
    page = f"{headings}\n```\n# no heading\n```\n"
    assert anchors(page) == {"what-a-b-does", "ports-adapters-fakes", "twice", "twice-1"}


def test_code_has_no_links_and_strings_are_no_remarks():
    assert LINK.findall(prose("`[a](b)` and [c](d)\n\n```\n[e](f)\n```\n")) == ["d"]
    function = 'def f():\n    # four\n    """Five."""\n'
    source = f'"""One."""\nNAME = "docs/two.md"  # three\n\n\n{function}'
    assert list(remarks(source)) == ['"""One."""', "# three", "# four", '"""Five."""']
