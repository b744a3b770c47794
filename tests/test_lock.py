"""requirements.lock has what pyproject.toml asks for, each with hashes, and no address of an index."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.paths import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]


def entries():
    """Name → (version, whether it has hashes), of each package that is locked."""
    blocks = re.split(r"\n(?=[a-zA-Z0-9])", LOCK)
    heads = [re.match(r"([A-Za-z0-9._-]+)==(\S+)", block) for block in blocks]
    return {
        head[1].lower(): (head[2], "--hash=sha256:" in block)
        for head, block in zip(heads, blocks, strict=True)
        if head
    }


@pytest.mark.parametrize("text", DIRECT)
def test_a_direct_dependency_is_locked_at_a_version_that_fits(text):
    requirement = Requirement(text)
    version, _ = entries()[requirement.name.lower()]
    assert requirement.specifier.contains(version)


def test_each_package_has_hashes():
    assert [name for name, (_, hashed) in entries().items() if not hashed] == []


def test_no_index_is_named():
    assert not re.search(r"https?://|--index-url|--extra-index-url|--find-links", LOCK)
