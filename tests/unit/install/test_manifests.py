import json
from pathlib import Path

import pytest
import yaml

from devenv import data
from devenv.base.errors import DevenvError, Exit
from devenv.install import manifests
from devenv.profiles.load import load
from devenv.profiles.model import Profile

CHART = """
apiVersion: v1
kind: Namespace
metadata: {name: envoy-gateway-system}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: envoy-gateway, namespace: envoy-gateway-system}
spec: {template: {spec: {containers: [{name: envoy-gateway, image: "envoyproxy/gateway:v1.2.8", volumeMounts: [{name: certs, mountPath: /certs}]}], volumes: [{name: certs}]}}}
"""


def profile(tmp_path: Path, extra: str = "") -> Profile:
    own = tmp_path / "own.yaml"
    own.write_text(f"extends: offline\nname: own\n{extra}")
    return load(str(own), data.root() / "profiles")


def render(tmp_path: Path, extra: str = "", chart: str = CHART) -> manifests.Rendered:
    (tmp_path / "chart.yaml").write_text(chart)
    root = data.root() / "manifests"
    return manifests.render(
        profile(tmp_path, extra), lambda s: root / s.path if s.path else tmp_path / "chart.yaml"
    )


def one(rendered: manifests.Rendered, kind: str, name: str):
    return next(
        o
        for os in rendered.sources.values()
        for o in os
        if o["kind"] == kind and o["metadata"]["name"] == name
    )


def test_the_wasm_cache_is_kept_in_memory(tmp_path: Path):
    spec = one(render(tmp_path), "Deployment", "envoy-gateway")["spec"]["template"]["spec"]
    assert {"name": "wasm-cache", "mountPath": "/var/lib/eg/wasm"} in spec["containers"][0][
        "volumeMounts"
    ]
    assert {"name": "wasm-cache", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}} in spec[
        "volumes"
    ]
    assert {"name": "certs"} in spec["volumes"]


def test_the_wasm_cache_in_memory_can_be_switched_off(tmp_path: Path):
    off = "patches: [{name: wasm-cache-in-memory, enabled: false}]\n"
    spec = one(render(tmp_path, off), "Deployment", "envoy-gateway")["spec"]["template"]["spec"]
    assert spec["volumes"] == [{"name": "certs"}]


def test_the_node_port_follows_the_profile(tmp_path: Path):
    proxy = one(
        render(tmp_path, "gateway: {node_port: 31234}\n"),
        "EnvoyProxy",
        "aibrix-custom-proxy-config",
    )
    service = proxy["spec"]["provider"]["kubernetes"]["envoyService"]
    assert service["type"] == "NodePort"
    assert service["patch"]["value"]["spec"]["ports"][0]["nodePort"] == 31234


def test_the_port_mapping_follows_the_profile_and_stays_on_loopback(tmp_path: Path):
    config = yaml.safe_load(
        manifests.kind_config(profile(tmp_path, "gateway: {host_port: 9000, node_port: 31234}\n"))
    )
    assert config["nodes"][0]["extraPortMappings"] == [
        {"containerPort": 31234, "hostPort": 9000, "listenAddress": "127.0.0.1", "protocol": "TCP"}
    ]


def test_images_are_found_wherever_they_stand(tmp_path: Path):
    rendered = render(tmp_path)
    proxy = one(rendered, "EnvoyProxy", "aibrix-custom-proxy-config")
    assert set(manifests.images_in(proxy)) == {
        "docker.io/envoyproxy/envoy:v1.36.2",
        "docker.io/envoyproxy/gateway:v1.2.8",
    }
    wanted = {
        image
        for objects in rendered.sources.values()
        for o in objects
        for image in manifests.images_in(o)
    }
    assert wanted <= {manifests.normalise(i.ref) for i in profile(tmp_path).cluster_images}


def test_namespaces_and_definitions_come_first(tmp_path: Path):
    rendered = render(tmp_path)
    assert {o["kind"] for o in rendered.definitions} == {"Namespace"}
    assert not any(o["kind"] == "Namespace" for o in rendered.rest("gateway"))


@pytest.mark.parametrize("change", ["profile", "file", "folder", "new file"])
def test_the_fingerprint_changes_with_any_change(tmp_path: Path, change: str):
    (tmp_path / "one.yaml").write_text(CHART)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "two.yaml").write_text(CHART)
    extra = "manifests:\n  - {name: a, path: one.yaml}\n  - {name: b, path: more}\n"

    def fingerprint(extra: str) -> str:
        root = data.root() / "manifests"
        return manifests.fingerprint(
            profile(tmp_path, extra), lambda s: root / s.path if s.path else tmp_path / "one.yaml"
        )

    before = fingerprint(extra)
    assert fingerprint(extra) == before
    match change:
        case "profile":
            extra += "gateway: {node_port: 31234}\n"
        case "file":
            (tmp_path / "one.yaml").write_text(CHART + "# changed\n")
        case "folder":
            (tmp_path / "more" / "two.yaml").write_text(CHART + "# changed\n")
        case _:
            (tmp_path / "more" / "three.yaml").write_text(CHART)
    assert fingerprint(extra) != before


@pytest.mark.parametrize(
    "chart",
    [
        "a: [",
        "just: a map",
        "- a\n- list",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: 1}",
        "{apiVersion: v1, kind: Pod, metadata: }",
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, chart: str, expect_error):
    with expect_error(Exit.USAGE):
        render(tmp_path, chart=chart)


def test_only_secrets_that_pods_cannot_do_without_are_waited_for():
    volumes = [
        {"secret": {"secretName": "certs"}},
        {"secret": {"secretName": "extra", "optional": True}},
        {"configMap": {"name": "c"}},
    ]
    assert manifests.secrets_in({"spec": {"template": {"spec": {"volumes": volumes}}}}) == ["certs"]
    assert manifests.secrets_in({"data": {}}) == []


def test_a_folder_gives_all_its_files_in_order(tmp_path: Path):
    folder = tmp_path / "mine"
    (folder / "sub").mkdir(parents=True)
    for path, name in (("b.yaml", "b"), ("a.yml", "a"), ("sub/c.json", "c"), ("README.md", "no")):
        (folder / path).write_text(
            json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
        )
    assert [o["metadata"]["name"] for o in manifests.read(folder)] == ["a", "b", "c"]


@pytest.mark.parametrize("file", ["kustomization.yaml", "notes.txt"])
def test_a_folder_that_cannot_be_applied_is_refused(tmp_path: Path, file: str, expect_error):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / file).write_text("resources: []\n")
    with expect_error(Exit.USAGE):
        manifests.read(tmp_path / "mine")


def test_all_sources_that_are_wrong_are_told_at_once(tmp_path: Path):
    (tmp_path / "list.yaml").write_text("- a\n")
    extra = "manifests:\n  - {name: one, path: list.yaml}\n  - {name: two, path: nowhere.yaml}\n"
    with pytest.raises(DevenvError) as caught:
        render(tmp_path, extra)
    assert "manifests.one: " in caught.value.why
    assert "manifests.two: " in caught.value.why


@pytest.mark.parametrize("text", [
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: 5}\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: &a {x: *a}\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {? [1] : x}\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nbinaryData: {x: !!binary aGk=}\n",
])  # fmt: skip
def test_what_json_has_not_is_refused_when_it_is_read(tmp_path: Path, text: str):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(DevenvError):
        manifests.read(tmp_path / "a.yaml")


def test_a_date_is_a_text_as_kubernetes_reads_it(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {day: 2024-01-01}\n"
    )
    assert manifests.read(tmp_path / "a.yaml")[0]["data"] == {"day": "2024-01-01"}


@pytest.mark.parametrize(
    "spec",
    ["text", [1], {"template": "text"}, {"template": {"spec": {"volumes": [{"secret": None}, 5]}}}],
)
def test_a_spec_that_makes_no_sense_is_left_for_the_api_server_to_refuse(spec):
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}
    assert manifests.secrets_in(obj) == []
    assert manifests.stamped(obj, {"docker.io/library/x:latest": "id"}) == obj


def test_a_patch_that_leaves_no_object_is_refused(tmp_path: Path, expect_error):
    extra = "manifests: [{name: models, patches: [{name: bad, target: {kind: Service}, merge: {kind: null}}]}]\n"
    with expect_error(Exit.USAGE):
        render(tmp_path, extra)


def test_what_a_diagnosis_looks_for_by_its_name_is_declared():
    objects = (
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s", "namespace": "n"},
            "spec": {"selector": {"a": "b"}},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "e"}, "spec": {}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d"},
            "spec": {"selector": {"matchLabels": {}}},
        },
        {
            "apiVersion": "x/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "xs.y"},
            "spec": {"names": {"kind": "X"}},
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}},
    )
    told = manifests.declared(manifests.Rendered({"source": objects}))
    assert [(str(d), d.selector, d.defines) for d in told] == [
        ("Service n/s", {"a": "b"}, ""), ("Service e", {}, ""), ("Deployment d", {}, ""),
        ("CustomResourceDefinition xs.y", {}, "X"),
    ]  # fmt: skip
