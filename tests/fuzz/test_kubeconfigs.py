"""Kubeconfigs with an odd value anywhere are read or refused with file and line: never a crash."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from devenv.adapters.kube import ContextKube
from tests.fuzz.mutations import bounded, kinds, odd_values, refusal, with_value

CONTENT = {
    "apiVersion": "v1", "kind": "Config", "current-context": "kind-x", "preferences": {},
    "users": [{"name": "kind-x", "user": {"token": "t", "client-certificate-data": "", "exec": None}}],
    "clusters": [{"name": "kind-x", "cluster": {"server": "https://127.0.0.1:9", "certificate-authority-data": ""}}],
    "contexts": [{"name": "kind-x", "context": {"cluster": "kind-x", "user": "kind-x", "namespace": "a"}}],
}  # fmt: skip


@bounded(150)
@given(place=st.sampled_from(kinds(CONTENT)), value=odd_values)
def test_any_odd_value(tmp_path_factory, place, value):
    path = tmp_path_factory.mktemp("kube") / "config"
    path.write_text(yaml.safe_dump(with_value(CONTENT, place, value)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(path))
        kube = ContextKube("kind-x")
        ports: list[int] = []
        error = refusal(lambda: ports.append(kube.server_port()))
        if kube._open_connection:
            kube._open_connection.pool.clear()
    assert str(path) in str(error) if error else ports[0] in {0, 9}
