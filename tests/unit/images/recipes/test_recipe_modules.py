"""The recipes' Go modules name the same version of a library, so that it is compiled once (decision 5)."""

import re

from devenv import data

REQUIRED = re.compile(r"^\t?(?:require )?(\S+) (v\S+)(?: // indirect)?$", re.MULTILINE)
KUBERNETES = ("k8s.io/", "sigs.k8s.io/")
APART = {"containerd", "runc", "kind"}
REPLACED = "v0.0.0"  # kube's go.mod says elsewhere which version that is
# Kept apart on purpose (decision 5); the others are required, but one of the two compiles nothing of them on Linux.
FREE = {
    "github.com/opencontainers/cgroups", "github.com/go-ole/go-ole", "github.com/Microsoft/go-winio",
    "github.com/golang/groupcache", "cyphar.com/go-pathrs",
}  # fmt: skip


def versions() -> dict[str, dict[str, str]]:
    """Library → recipe → version."""
    found: dict[str, dict[str, str]] = {}
    for file in sorted((data.root() / "images").rglob("go.mod")):
        for library, version in REQUIRED.findall(file.read_text()):
            apart = file.parent.name in APART and library.startswith(
                (*KUBERNETES, "golang.org/x/net")
            )
            if version != REPLACED and not apart:
                found.setdefault(library, {})[file.parent.name] = version
    return found


def test_a_library_has_one_version():
    several = {
        library: by
        for library, by in versions().items()
        if len(set(by.values())) > 1 and library not in FREE
    }
    assert several == {}, "python docs/align.py makes them equal"
