"""Which files are the kubeconfig, and what is said of those that can't be used."""

from pathlib import Path

import pytest

from devenv.adapters import kubeconfig
from devenv.adapters.kube import ContextKube
from devenv.base.errors import DevenvError, Exit

WHOLE = """\
clusters: [{name: c, cluster: {server: "https://127.0.0.1:7"}}]
users: [{name: u, user: {}}]
contexts: [{name: kind-x, context: {cluster: c, user: u}}]
"""


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(WHOLE)
    return tmp_path


@pytest.mark.parametrize("value", ["", ":", "::"])
def test_an_empty_variable_is_as_if_it_were_not_set(home, monkeypatch, value):
    monkeypatch.setenv("KUBECONFIG", value)
    assert kubeconfig.paths() == (home / ".kube" / "config",)
    assert ContextKube("kind-x").server_port() == 7


def test_a_device_holds_nothing_and_nothing_can_be_kept_in_it(monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/dev/null")
    assert kubeconfig.read().contexts == []
    assert ContextKube("kind-x").server_port() == 0
    with pytest.raises(DevenvError) as caught:
        kubeconfig.refuse_unwritable()
    assert caught.value.exit_code == Exit.PREREQUISITE
    assert "/dev/null" in caught.value.what


def test_files_that_are_not_there_or_hold_nothing_are_passed_over(home, monkeypatch):
    (home / "empty").write_text("")
    monkeypatch.setenv("KUBECONFIG", f"{home}/none:{home}/empty:{home}/.kube/config")
    kubeconfig.refuse_unwritable()
    assert ContextKube("kind-x").server_port() == 7


@pytest.mark.parametrize(
    ("content", "line"),
    [("a: [1, }", 1), ("contexts: 7\n", 1), ("users: []\ncontexts:\n- {name: kind-y, context: 7}\n", 3), ("[]", 1), ("a: 1\na: 2\n", 2),
     ("clusters:\n- {name: z, cluster: {}}\n", 2), ("contexts:\n- {context: {}}\n", 2)],
)  # fmt: skip
def test_the_broken_one_among_several_is_named_with_its_line(home, monkeypatch, content, line):
    (home / "broken").write_text(content)
    monkeypatch.setenv("KUBECONFIG", f"{home}/.kube/config:{home}/broken")
    for look in (
        ContextKube("kind-x").server_port,
        lambda: ContextKube("kind-x").get("v1", "Pod", "", "a"),
    ):
        with pytest.raises(DevenvError) as caught:
            look()
        assert f"{home}/broken" in caught.value.what
        assert f"{home}/broken:{line}" in caught.value.why
        assert caught.value.exit_code == Exit.PREREQUISITE


def test_a_missing_context_is_named_with_the_nearest(home, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(home / ".kube" / "config"))
    with pytest.raises(kubeconfig.NoContextError) as caught:
        ContextKube("kind-xy").get("v1", "Pod", "", "a")
    assert "kind-xy" in caught.value.what
    assert "kind-x" in caught.value.why
    assert str(home / ".kube" / "config") in caught.value.why


def test_a_context_that_leads_nowhere_is_told_with_its_line(home, monkeypatch):
    (home / "c").write_text(WHOLE.replace("cluster: c, user", "cluster: d, user"))
    monkeypatch.setenv("KUBECONFIG", str(home / "c"))
    with pytest.raises(DevenvError) as caught:
        ContextKube("kind-x").server_port()
    assert f"{home}/c:3" in caught.value.why


def test_a_certificate_that_is_not_there_is_told(home, monkeypatch):
    (home / "c").write_text(
        WHOLE.replace("user: {}", "user: {client-certificate: none.pem, client-key: none.pem}")
    )
    monkeypatch.setenv("KUBECONFIG", str(home / "c"))
    with pytest.raises(DevenvError) as caught:
        ContextKube("kind-x").get("v1", "Pod", "", "a")
    assert str(home / "c") in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [("server:", "proxy-url: 7, server:", 1), ("server:", "tls-server-name: [], server:", 1),
     ("server:", "certificate-authority: /dev/zero, server:", 1), ("user: {}", "user: {tokenFile: /dev/zero}", 2),
     ("user: {}", "user: {tokenFile: .}", 2), ("user: {}", "user: {token: 7}", 2), ("user: {}", "user: {client-key: {}}", 2)],
)  # fmt: skip
def test_what_the_client_would_take_unseen_is_told_with_its_line(home, monkeypatch, old, new, line):
    (home / "c").write_text(WHOLE.replace(old, new))
    monkeypatch.setenv("KUBECONFIG", str(home / "c"))
    with pytest.raises(DevenvError) as caught:
        kubeconfig.read()
    assert f"{home}/c:{line}" in caught.value.why
    assert caught.value.exit_code == Exit.PREREQUISITE


def test_what_the_client_stumbles_over_is_not_told_in_pythons_words(home, monkeypatch):
    (home / "c").write_text(WHOLE.replace("user: {}", "user: {auth-provider: {name: gcp}}"))
    monkeypatch.setenv("KUBECONFIG", str(home / "c"))
    with pytest.raises(DevenvError) as caught:
        ContextKube("kind-x").get("v1", "Pod", "", "a")
    assert str(home / "c") in str(caught.value)
    assert "NoneType" not in str(caught.value)
