"""What differs between two looks: all of it, nothing else, and in words."""

import copy
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devenv.diagnosis.compare import _CONFIGURED, _flat, compare
from devenv.facts.model import dump, parse
from devenv.ui import comparison
from tests.paths import INCIDENTS

HEALTHY = ("healthy", "aibrix-healthy")


def read(name):
    return parse((INCIDENTS / name / "facts.json").read_text())


def said(found):
    return [d.says for d in (*found.configuration, *found.state)]


@pytest.mark.parametrize("name", sorted(p.parent.name for p in INCIDENTS.glob("*/facts.json")))
def test_a_look_is_like_itself(name):
    assert compare(read(name), read(name)).same


@pytest.mark.parametrize("name", ["the-incident", "latched"])
def test_of_the_incident_the_configuration_is_equal_and_the_state_is_told(name):
    good, bad = read("healthy"), read(name)
    found = compare(good, bad)
    assert found.configuration == ()
    text = comparison.plain_text(good, bad, found)
    assert text.splitlines()[1].startswith("✓ ")
    assert "✗ State differs" in text
    assert any("Envoy has no filter" in s and "extproc/0 any more" in s for s in said(found))
    assert ("the disk of the node control-plane has 0 B free" in text) == (name == "the-incident")
    assert ("Accepted=False Invalid: Wasm: wasm cache is not initialized" in text) == (
        name == "latched"
    )


WORDS = {
    "redis-is-down": "aibrix-redis-master: spec.replicas changed: 1 → 0",
    "patches-switched-off": "ConfigMap envoy-gateway-system/envoy-gateway-config: data.envoy-gateway.yaml changed",
    "service-misnamed": "Service default/llama2-7b is missing",
    "oomkilled": "mock-llama2-7b: image of llm-engine changed: devenv.local/vllm-mock:reference → ",
    "httproute-gone": "HTTPRoute aibrix-system/llama2-7b-router is missing",
    "gateway-plugins-crash": "aibrix-gateway-plugins: ",
}


@pytest.mark.parametrize("name", WORDS)
def test_what_was_changed_is_said_in_words(name):
    good, bad = read("healthy"), read(name)
    assert WORDS[name] in comparison.plain_text(good, bad, compare(good, bad))


def test_what_kind_itself_has_put_into_the_cluster_is_compared_too():
    found = compare(read("inotify-is-used-up"), read("kube-proxy-needs-an-image"))
    (only,) = found.configuration
    assert only.says.startswith(
        "kube-proxy: image of kube-proxy changed: registry.k8s.io/kube-proxy:"
    )


def test_what_could_matter_most_comes_first():
    ranks = [d.rank for d in compare(read("healthy"), read("oomkilled")).configuration]
    assert ranks == sorted(ranks)
    assert ranks[0] < ranks[-1]


def test_noise_is_no_difference():
    good = json.loads(dump(read("healthy")))
    other = copy.deepcopy(good)
    for objects in other["objects"].values():
        for obj in objects:
            obj["metadata"] |= {"uid": "other", "creationTimestamp": "2030-01-01T00:00:00Z"}
    for service in other["objects"]["Service"]:
        service["spec"]["clusterIP"] = "10.0.0.9"
        service["spec"]["clusterIPs"] = ["10.0.0.9"]
    for proxy in other["proxies"]:
        proxy["pod"] = "envoy-another"
    other["taken"] += 1000
    other["cluster"] = "another"
    for node in other["nodes"]:
        node["name"] = node["name"].replace("devenv-test", "another")
        node["address"], node["disk"]["free"] = "172.18.0.9", node["disk"]["free"] - 4096
    assert compare(parse(json.dumps(good)), parse(json.dumps(other))).same


def leaves(content):
    """Every field that somebody may have written: (kind, number, path as keys)."""
    for kind in _CONFIGURED:
        for number, obj in enumerate(content["objects"].get(kind, ())):
            shown = {
                path
                for path, _ in _flat({k: obj[k] for k in ("spec", "data", "webhooks") if k in obj})
            }
            for keys in _keys({k: obj[k] for k in ("spec", "data", "webhooks") if k in obj}):
                if _spelt(obj, keys) in shown and not (
                    keys[-1] == "name" and isinstance(keys[-2], int)
                ):
                    yield kind, number, keys


def _keys(value, path=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _keys(inner, (*path, key))
    elif isinstance(value, list):
        for key, inner in enumerate(value):
            yield from _keys(inner, (*path, key))
    else:
        yield path


def _spelt(obj, keys):
    text, value = "", obj
    for key in keys:
        if isinstance(key, int):
            names = [i.get("name") if isinstance(i, dict) else None for i in value]
            by_name = all(isinstance(n, str) for n in names) and len(set(names)) == len(names)
            text += f"[{names[key] if by_name else key}]"
        else:
            text += f".{key}" if text else key
        value = value[key]
    return text


CONTENT = {name: json.loads((INCIDENTS / name / "facts.json").read_text()) for name in HEALTHY}
LEAVES = [(name, *leaf) for name in HEALTHY for leaf in leaves(CONTENT[name])]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(LEAVES))
def test_one_field_that_differs_is_named_and_nothing_else(leaf):
    name, kind, number, keys = leaf
    changed = copy.deepcopy(CONTENT[name])
    holder = changed["objects"][kind][number]
    path = _spelt(holder, keys)
    for key in keys[:-1]:
        holder = holder[key]
    value = holder[keys[-1]]
    holder[keys[-1]] = (
        not value
        if isinstance(value, bool)
        else value + 1
        if isinstance(value, int | float)
        else f"{value}x"
    )
    found = compare(parse(json.dumps(CONTENT[name])), parse(json.dumps(changed)))
    (one,) = found.configuration
    wanted = re.sub(r"(\.env\[[^\]]+\]).*", r"\1", path) if one.path.count(".env[") else path
    assert one.path == wanted
    meta = changed["objects"][kind][number]["metadata"]
    assert one.subject == f"{kind} " + "/".join(filter(None, (meta.get("namespace"), meta["name"])))
    assert not found.state or keys[-1] == "replicas", "a workload of more replicas is not ready"


def test_shape_of_a_comparison():
    good, bad = read("healthy"), read("redis-is-down")
    shape = comparison.shape(good, bad, compare(good, bad))
    assert shape.keys() == {"good", "other", "same", "configuration", "state"}
    assert shape["configuration"][0] == {
        "subject": "Deployment aibrix-system/aibrix-redis-master", "path": "spec.replicas", "rank": 2,
        "says": "aibrix-redis-master: spec.replicas changed: 1 → 0",
    }  # fmt: skip
