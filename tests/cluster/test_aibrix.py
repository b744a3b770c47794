"""The profile aibrix on real kind with real Envoy Gateway: manifests in the shapes of AIBrix's releases, and stand-ins for its
programs, built from a checkout that has AIBrix's layout."""

import functools
import hashlib
import http.server
import json
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from junitparser import JUnitXml

from tests.by_hand import cases, exhaustive
from tests.cluster import aibrix
from tests.cluster.lab import Lab, free_port

NAMED_BY_ADDRESS = (
    '"target-pod", target.Name, "target-pod-ip", target.Address',
    '"target-pod", target.Address',
)
BUILD = """
import sys
from devenv import wiring
from devenv.profiles.variant import Variant
with wiring.world() as world:
    for image in world.choice("none", sys.argv[1], Variant(checkout=sys.argv[2])).profile.images:
        if image.go:
            built = world.in_place().build(image)
            if "as released" in sys.argv:
                world.engine.tag(built, image.ref)
"""


def forget(lab: Lab, tag: str, source: Path) -> None:
    """Remove the cluster, and all images that were compiled from the test's checkout, those without a name among them."""
    lab.devenv("down")
    built = lab.docker(
        "images", "-q", "--no-trunc", "--filter", f"label=devenv.built-from={source}"
    ).split()
    lab.docker(
        "rmi",
        "-f",
        *(f"devenv-test/{name}:{tag}" for name in aibrix.IMAGES),
        *dict.fromkeys(built),
        check=False,
    )


@pytest.fixture(scope="module")
def lab(built_refs, tmp_path_factory):
    """A cluster from a checkout, with the metadata service."""
    folder = tmp_path_factory.mktemp("aibrix")
    source = aibrix.checkout(folder / "checkout")
    options = ("--checkout", str(source), "--with", "metadata-service")
    ports = (free_port(), free_port())
    overrides = f"{aibrix.overrides('checkout')}{aibrix.tests(*ports)}"
    made = Lab(folder, "devenv-test-aibrix", overrides=overrides, base="aibrix", chosen=options)
    made.test_ports = ports
    made.clear()
    made.first = made.up()
    yield made
    forget(made, "checkout", source)


def test_a_checkout_becomes_a_cluster_that_answers_on_every_route(lab):
    assert {r["name"]: r["ok"] for r in lab.first["requests"]} == dict.fromkeys(
        ("direct", "extension", "plain", "models"), True
    )
    assert (lab.first["version"], lab.first["changed"]) == ("main", True)
    assert lab.json("up")["changed"] is False, "what was chosen is remembered"


def test_the_checkouts_own_tests_run_and_leave_nothing(lab):
    junit = lab.folder / "junit.xml"
    done = lab.devenv("test-e2e", "--junit", str(junit), "-o", "json", check=False)
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)["result"]
    assert {test["name"]: test["outcome"] for test in result["tests"]} == {
        "TestEngine": "pass", "TestGateway": "pass", "TestSkip": "skip", "TestFail/sub": "fail", "TestFail": "fail",
        "TestLeaves": "pass",
    }  # fmt: skip
    assert result["removed"] == ["Service default/e2e-left"]
    (suite,) = JUnitXml.fromfile(str(junit))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (6, 2, 0, 1)
    assert lab.json("test-e2e", "--run", "TestEngine")["counts"] == {
        "pass": 1,
        "fail": 0,
        "unfinished": 0,
        "skip": 0,
    }
    assert lab.devenv("test-e2e", "--run", "TestNone", check=False).returncode == 4


def test_a_port_that_is_taken_is_refused_before_the_tests_begin(lab):
    with socket.create_server(("127.0.0.1", lab.test_ports[0])):
        done = lab.devenv("test-e2e", check=False)
    assert done.returncode == 3
    assert str(lab.test_ports[0]) in done.stderr


def test_an_interrupt_ends_the_tests_closes_the_ports_and_removes_what_they_left(lab):
    """SIGTERM is treated as Ctrl-C; SIGINT itself is ignored by whatever a shell starts in the background."""
    argv = lab.argv("test-e2e", "--run", "TestLeaves")
    with subprocess.Popen(
        argv, env={**lab.env, "E2E_HANG": "1"}, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        left = ("get", "services", "e2e-left", "--ignore-not-found", "-o", "name")
        lab.eventually("the Service", lambda: "" if lab.kubectl(*left) else "it")
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=60)
        assert run.returncode == 130
    assert lab.kubectl(*left) == ""
    with socket.create_server(("127.0.0.1", lab.test_ports[0])):
        pass


def test_the_webhooks_have_seen_the_models_deployment(lab):
    labels = json.loads(lab.kubectl("get", "deployment", "mock-llama2-7b", "-o", "json"))[
        "metadata"
    ]["labels"]
    assert labels["devenv-test/seen"] == "true"


def test_it_fits_a_small_machine(lab):
    found = json.loads(
        lab.kubectl("-n", "aibrix-system", "get", "deployments,poddisruptionbudgets", "-o", "json")
    )["items"]
    names = {o["metadata"]["name"] for o in found}
    assert not names & {"aibrix-gpu-optimizer", "aibrix-kuberay-operator", "gateway-plugins-pdb"}
    (plugins,) = [o for o in found if o["metadata"]["name"] == "aibrix-gateway-plugins"]
    resources = plugins["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert resources == {"requests": {"cpu": "50m", "memory": "64Mi"}}


def test_a_changed_line_of_the_checkout_answers(lab):
    source = lab.folder / "checkout" / "cmd" / "plugins" / "main.go"
    before = source.read_text()
    source.write_text(
        before.replace('"request-id", request}', '"request-id", request, "x-changed", "yes"}')
    )
    told = lab.json("reload-image", "--build", "devenv-test/gateway-plugins")
    assert told["restarted"] == ["gateway-plugins"]
    assert lab.request("extension")["answer"]["headers"]["x-changed"] == "yes"
    source.write_text(before)
    lab.json("reload-image", "--build", "gateway-plugins")


PLUGINS = "devenv-test/gateway-plugins:checkout"


@pytest.fixture
def other_checkout(lab, tmp_path):
    """Another checkout, whose plugins differ, built, and in the engine under the name that both checkouts use."""
    source = aibrix.checkout(tmp_path / "other")
    (source / "cmd" / "plugins" / "another.go").write_text("package main\n")
    subprocess.run(
        [sys.executable, "-c", BUILD, str(lab.profile), str(source)],
        env=lab.env,
        check=True,
        capture_output=True,
    )
    built = lab.docker("images", "-q", "--filter", f"label=devenv.built-from={source}").split()
    names = lab.docker(
        "images",
        "--format",
        "{{.Repository}}:{{.Tag}}",
        "--filter",
        f"label=devenv.built-from={source}",
    ).split()
    lab.docker("tag", next(n for n in names if "/gateway-plugins:" in n), PLUGINS)
    yield source
    lab.docker("rmi", "-f", PLUGINS, *built, check=False)


def in_node(lab: Lab) -> str:
    """The ID of the image that the node has for the plugins."""
    listed = json.loads(lab.docker("exec", lab.node, "crictl", "images", "-o", "json"))["images"]
    return next(i["id"] for i in listed if f"docker.io/{PLUGINS}" in i["repoTags"])


def test_another_checkouts_image_comes_into_no_cluster(lab, other_checkout):
    before = in_node(lab)
    refused = lab.devenv("reload-image", PLUGINS, check=False)
    assert refused.returncode == 2
    assert f"reload-image gateway-plugins --build --name {lab.cluster}" in refused.stderr
    assert str(other_checkout) in refused.stderr
    assert lab.json("up")["changed"] is False, "what the engine has under the name is another's"
    assert in_node(lab) == before


def test_up_keeps_what_runs_after_a_change_of_sources(lab):
    source, before = lab.folder / "checkout" / "cmd" / "plugins" / "added.go", in_node(lab)
    source.write_text("package main\n\nvar added = 1\n")
    try:
        told = lab.devenv("up")
        assert f"reload-image gateway-plugins --build --name {lab.cluster}" in told.stderr
        assert in_node(lab) == before
    finally:
        source.unlink()


def test_without_its_checkout_a_cluster_goes_on(lab, tmp_path):
    source, elsewhere, before = lab.folder / "checkout", tmp_path / "moved", in_node(lab)
    source.rename(elsewhere)
    try:
        assert f"{source} is gone" in lab.devenv("up").stderr
        assert lab.doctor()["healthy"]
        assert lab.devenv("reload-image", "gateway-plugins", "--build", check=False).returncode == 2
        moved = lab.devenv("up", "--checkout", str(elsewhere))
        assert "is gone" not in moved.stderr
        assert in_node(lab) == before, "what runs was built from the same sources"
    finally:
        elsewhere.rename(source)
        lab.devenv("up", "--checkout", str(source))


def test_what_a_user_built_otherwise_is_taken_and_undone(lab, built_refs):
    before = in_node(lab)
    lab.docker("tag", next(ref for ref in built_refs if "gateway-plugins" in ref), PLUGINS)
    try:
        told = lab.devenv("reload-image", PLUGINS)
        assert "outside devenv" in told.stderr
        assert in_node(lab) != before
        lab.json("reload-image", "gateway-plugins", "--undo")
        assert in_node(lab) == before
    finally:
        lab.docker("rmi", PLUGINS)


EVERY = [("direct", True), ("extension", True), ("plain", True)]
TWO = EVERY[:2]  # where the controller makes no route for a name, gateway-plugins finds none either
NAMES = (
    "Qwen/Qwen2.5-7B",
    "Qwen2.5_7B",
    "llama-3.1-8b",
    "qwen3-8b",
)  # by annotation, hashed, to another Service, plain


def answered(told):
    return [(r["name"], r["ok"]) for r in told["requests"]]


def test_models_come_and_go(lab):
    for name in NAMES:
        assert (
            answered(lab.json("model", "add", name, "--replicas", "1" if "." in name else "2"))
            == EVERY
        )
    routes = lab.kubectl("-n", "aibrix-system", "get", "httproutes", "-o", "name")
    assert "qwen-qwen2-5-7b-401a4b448e74-router" in routes, (
        "as main's controller names it, and not devenv"
    )
    found = {m["name"]: m for m in lab.json("model", "list")}
    assert {name: m["added_by_devenv"] for name, m in found.items()} == {
        **dict.fromkeys(NAMES, True),
        "llama2-7b": False,
    }
    assert all(answered(m) == EVERY for m in found.values())
    assert found["qwen3-8b"]["pods"] == {"ready": 2, "all": 2}
    assert lab.json("request", "--model", NAMES[0], "--route", "plain")["ok"]
    assert lab.doctor()["healthy"]
    refused = lab.devenv("model", "add", "mock-llama2-7b", check=False)
    assert refused.returncode == 2
    assert "mock-llama2-7b" in refused.stderr
    planned = lab.json("model", "rm", "qwen3-8b", "--dry-run")
    assert planned["objects"] == ["Deployment default/qwen3-8b", "Service default/qwen3-8b"]
    told = lab.json(
        "model",
        "add",
        "qwen3-8b",
        "--port",
        "8000",
        "--replicas",
        "1",
        "--image",
        "devenv.local/vllm-mock:reference",
    )
    assert all(r["ok"] for r in told["requests"])
    for name in NAMES:
        lab.json("model", "rm", name, "--yes")
    assert [m["name"] for m in lab.json("model", "list")] == ["llama2-7b"]
    assert "qwen" not in lab.kubectl(
        "get", "httproutes,services,deployments", "--all-namespaces", "-o", "name"
    )
    assert lab.devenv("model", "rm", "llama2-7b", "--yes", check=False).returncode == 2


def test_a_storm_services_model_has_no_route_and_no_fault(lab):
    (deployment, _) = json.loads(workload("storm", "", "storm"))["items"]
    template = deployment["spec"]["template"]
    labels = {
        **template["metadata"]["labels"],
        "storm-service-name": "storm",
        "devenv-test": "fault",
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "storm-0", "namespace": "default", "labels": labels},
    }
    lab.kubectl_in(json.dumps({**pod, "spec": template["spec"]}), "apply", "-f", "-")
    try:
        lab.kubectl("wait", "pod/storm-0", "--for=condition=Ready", "--timeout=60s")
        (seen,) = [m for m in lab.json("model", "list", check=False) if m["name"] == "storm"]
        assert [r["name"] for r in seen["requests"]] == ["extension"]
        assert lab.doctor()["healthy"]
    finally:
        lab.kubectl("delete", "pod", "storm-0", "--grace-period=1", "--wait")


PLANTED = "planted-Q7x9mZ2"


def test_a_model_that_wants_a_key_or_names_no_pod_is_one_finding_and_up_agrees(lab, monkeypatch):
    monkeypatch.setenv("PLANTED", PLANTED)
    key = ("--header", "Authorization: Bearer ${PLANTED}")
    before = lab.profile.read_text()
    try:
        set_env(lab, f"API_KEY={PLANTED}")
        refused = lab.request("direct")
        assert (refused["answer"]["status"], refused["ok"]) == (401, False)
        found = lab.doctor()
        assert [(c["code"], c["consequences"]) for c in found["causes"]] == [("DE602", [])]
        assert all(
            r["ok"]
            for r in (lab.request(route, *key) for route in ("direct", "extension", "plain"))
        )
        told = lab.devenv("--debug", "up", "--no-wait", check=False)
        assert told.returncode == 1, told.stderr
        requests = [
            f"  - {{name: {name}, headers: {{Authorization: 'Bearer ${{PLANTED}}'}}}}"
            for name in ("direct", "extension", "plain")
        ]
        lab.profile.write_text("\n".join([before, "requests:", *requests]) + "\n")
        healthy = lab.devenv("doctor", "-o", "json", "--save", str(lab.folder / "facts.json"))
        assert json.loads(healthy.stdout)["result"]["healthy"]
        shown = lab.devenv("profile", "show", str(lab.profile)).stdout
        saved = (lab.folder / "facts.json").read_text()
        assert not [
            text
            for text in (told.stderr, told.stdout, healthy.stdout, shown, saved)
            if PLANTED in text
        ]
        monkeypatch.delenv("PLANTED")
        assert lab.devenv("up", check=False).returncode == 2, "refused before anything changes"
        lab.profile.write_text(before)
        set_env(lab, "API_KEY-", "ANONYMOUS=1")
        assert {c["code"] for c in lab.doctor()["causes"]} == {"DE603"}
        assert lab.devenv("up", check=False).returncode == 1
    finally:
        lab.profile.write_text(before)
        set_env(lab, "API_KEY-", "ANONYMOUS-")
    lab.eventually("health", lambda: "" if lab.doctor()["healthy"] else str(codes(lab)))


def set_env(lab: Lab, *changes: str) -> None:
    lab.kubectl("set", "env", "deployment/mock-llama2-7b", *changes)
    lab.kubectl("rollout", "status", "deployment/mock-llama2-7b", "--timeout=60s")
    gone = ("get", "pods", "-l", "model.aibrix.ai/name=llama2-7b", "-o", "name")
    lab.eventually(
        "the end of the old pod",
        lambda: "" if len(lab.kubectl(*gone).split()) == 2 else "it ends",
        60,
    )


def test_the_controller_leads_again_after_its_restart(lab):
    holder = (
        "-n",
        "aibrix-system",
        "get",
        "lease",
        "aibrix-controller-manager",
        "-o",
        "jsonpath={.spec.holderIdentity}",
    )
    before = lab.kubectl(*holder)
    assert lab.json("restart", "controller-manager")["components"] == ["controller-manager"]
    assert lab.kubectl(*holder) != before


def workload(name: str, own: str, pods: str, port: str = "8000", own_port: str = "") -> str:
    """Return a model's Deployment and Service, with labels as they are given."""
    labels = {
        "app": name,
        **({"model.aibrix.ai/name": pods} if pods else {}),
        "model.aibrix.ai/port": port,
    }
    container = {
        "name": "llm-engine", "image": "devenv.local/vllm-mock:reference", "ports": [{"containerPort": 8000}],
        "env": [{"name": "MODEL_NAME", "value": name}], "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
    }  # fmt: skip
    meta = {
        "name": name,
        "namespace": "default",
        "labels": {"devenv-test": "fault", **({"model.aibrix.ai/name": own} if own else {})},
    }
    if own_port:
        meta["labels"]["model.aibrix.ai/port"] = own_port
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}  # fmt: skip
    service = {"selector": {"app": name}, "ports": [{"port": 8000}]}
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default", "labels": {"devenv-test": "fault"}}, "spec": service},
    ]})  # fmt: skip


@dataclass(frozen=True)
class Mistake:
    """What AIBrix takes without a word. `fix`: part of the command that doctor shows."""

    code: str
    own: str
    pods: str
    fix: str
    port: str = "8000"
    name: str = "other"
    own_port: str = ""


MISTAKES = {
    "port of the Deployment alone": Mistake(
        "DE507", "other", "other", "model.aibrix.ai/port=8000", own_port="9000"
    ),
    "label only on the Deployment": Mistake("DE505", "other", "", "patch deployment other"),
    "label only on the pods": Mistake(
        "DE503", "", "other", "label deployment other model.aibrix.ai/name=other"
    ),
    "Service of another name": Mistake(
        "DE502", "third", "third", "expose deployment other --name third --port 8000"
    ),
    "wrong port": Mistake("DE506", "other", "other", 'model.aibrix.ai/port":"8000"', port="9000"),
}


SLOW_MISTAKES = {
    "port of the Deployment alone",
    "label only on the Deployment",
    "Service of another name",
}


@pytest.mark.parametrize("name", cases(MISTAKES, by_hand=SLOW_MISTAKES))
def test_a_mistake_that_aibrix_accepts_in_silence_is_named_with_its_patch(lab, name):
    mistake = MISTAKES[name]
    lab.kubectl_in(
        workload(mistake.name, mistake.own, mistake.pods, mistake.port, mistake.own_port),
        "apply",
        "-f",
        "-",
    )
    try:
        lab.kubectl("rollout", "status", "deployment", mistake.name, "--timeout=60s")
        lab.eventually(
            "the diagnosis", lambda: "" if mistake.code in codes(lab) else str(codes(lab)), 30
        )
        found = lab.doctor()
        assert codes(lab) == [mistake.code], found
        assert mistake.fix in " ".join(found["causes"][0]["fix"])
    finally:
        lab.kubectl("delete", "deployments,services", "-l", "devenv-test=fault", "--wait")
        lab.eventually("health", lambda: "" if lab.doctor()["healthy"] else str(codes(lab)))


def codes(lab: Lab) -> list[str]:
    return [c["code"] for c in lab.doctor()["causes"]]


def test_a_label_that_comes_later_is_seen_after_the_restart_that_doctor_names(lab):
    lab.kubectl_in(workload("late", "", "late"), "apply", "-f", "-")
    try:
        lab.kubectl("rollout", "status", "deployment", "late", "--timeout=60s")
        lab.kubectl("label", "deployment", "late", "model.aibrix.ai/name=late")
        found = lab.doctor()
        assert [c["code"] for c in found["causes"]] == ["DE503"]
        assert found["causes"][0]["fix"] == [
            f"devenv restart controller-manager --name {lab.cluster}"
        ]
        lab.json("restart", "controller-manager")
        lab.eventually("health", lambda: "" if lab.doctor()["healthy"] else str(codes(lab)))
    finally:
        lab.kubectl("delete", "deployments,services", "-l", "devenv-test=fault", "--wait")
        lab.eventually("health", lambda: "" if lab.doctor()["healthy"] else str(codes(lab)))


FAULTS = {
    "controller at zero": (("-n", "aibrix-system", "scale", "deployment", "aibrix-controller-manager", "--replicas=0"), "DE305", {"DE701"}),
    "metadata service at zero": (("-n", "aibrix-system", "scale", "deployment", "aibrix-metadata-service", "--replicas=0"), "DE305", {"DE601"}),
    "the model's route is gone": (("-n", "aibrix-system", "delete", "httproute", "llama2-7b-router"), "DE503", {"DE601"}),
    "the webhook's Service leads nowhere": (
        ("-n", "aibrix-system", "patch", "service", "aibrix-webhook-service", "-p", '{"spec":{"selector":{"control-plane":"nobody"}}}'), "DE701", set()),
    "webhooks without a certificate": (
        ("patch", "mutatingwebhookconfiguration", "aibrix-mutating-webhook-configuration", "--type=json",
         "-p", '[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]'), "DE701", set()),
}  # fmt: skip


SLOW_FAULTS = {"controller at zero", "metadata service at zero", "webhooks without a certificate"}


@pytest.mark.parametrize("name", cases(FAULTS, by_hand=SLOW_FAULTS))
def test_a_fault_of_its_control_plane_is_one_root_and_recover_heals_it(lab, name):
    command, code, follows = FAULTS[name]
    lab.kubectl(*command)
    lab.eventually("the diagnosis", lambda: "" if codes(lab) == [code] else str(codes(lab)), 60)
    found = lab.doctor()
    assert follows <= {f["code"] for f in found["causes"][0]["consequences"]}, found["causes"]
    lab.devenv("recover", "--yes")
    found = lab.doctor()
    assert found["healthy"], found


MODEL = "a model's Deployment and Service"
GONE = {
    "a definition": ((("delete", "crd", "modeladapters.model.aibrix.ai"),), ["DE415"]),
    "the webhooks' Service": ((("-n", "aibrix-system", "delete", "service", "aibrix-webhook-service"),), ["DE416"]),
    MODEL: (
        (("delete", "deployment", "mock-llama2-7b"), ("delete", "service", "llama2-7b")), ["DE308", "DE502"]),
}  # fmt: skip


@pytest.mark.parametrize("name", cases(GONE, by_hand=set(GONE) - {MODEL}))
def test_what_is_gone_is_seen_and_put_back_in_one_plan_without_a_restart(lab, name):
    commands, expected = GONE[name]
    for command in commands:
        lab.kubectl(*command)
    try:
        lab.eventually(
            "the diagnosis", lambda: "" if codes(lab) == expected else str(codes(lab)), 60
        )
        found = lab.doctor()
        passing = all(r["ok"] for r in found["requests"])
        assert passing == (name != MODEL)
        assert [p["place"] for p in found["path"] if p["broken"]] == ([] if passing else ["route"])
    finally:
        told = lab.json("recover", "--yes")
    assert [s["kind"] for s in told["done"]] == ["put_back"]
    assert told["repaired"] == expected
    found = lab.doctor()
    assert found["healthy"], (found["causes"], found["in_progress"], found["unknown"])


def test_without_its_lease_the_controller_does_not_lead(lab):
    """Its rights are taken from it, so that it can't take the lease; put back, it leads after the restart."""
    role = json.loads(
        lab.kubectl("get", "clusterrole", "aibrix-controller-manager-role", "-o", "json")
    )
    without = {**role, "rules": [r for r in role["rules"] if "leases" not in r["resources"]]}
    lab.kubectl_in(json.dumps(without), "replace", "-f", "-")
    try:
        lab.kubectl("-n", "aibrix-system", "delete", "lease", "aibrix-controller-manager")
        lab.kubectl(
            "-n", "aibrix-system", "delete", "pod", "-l", "control-plane=controller-manager"
        )
        lab.eventually("the diagnosis", lambda: "" if "DE702" in said(lab) else said(lab), 60)
    finally:
        del role["metadata"]["resourceVersion"]
        lab.kubectl_in(json.dumps(role), "apply", "--server-side", "--force-conflicts", "-f", "-")
        lab.devenv("restart", "controller-manager")
    lab.eventually("health", lambda: "" if lab.doctor()["healthy"] else str(codes(lab)))


def said(lab: Lab) -> str:
    return lab.devenv("doctor", check=False).stdout


# What is refused, before anything changes


def refused(lab: Lab, *args: str, code: int = 2) -> str:
    done = lab.devenv("up", *args, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_two_profiles_and_two_versions_are_refused_on_one_cluster(lab):
    assert "was made with aibrix main, and offline was asked for" in refused(
        lab, "--profile", "offline"
    )
    told = refused(lab, "--profile", str(lab.profile), "--aibrix-version", "v0.4.1")
    assert "was made with aibrix main, and aibrix v0.4.1 was asked for" in told


@pytest.fixture
def new(at_hand, tmp_path):
    """A lab without a cluster."""
    made = Lab(tmp_path, "devenv-test-aibrix-new", base="aibrix")
    yield made
    assert not made.docker("ps", "-aq", "--filter", f"name={made.node}"), "something was made"


def test_a_version_that_does_not_exist_says_which_do(new):
    told = refused(new, "--aibrix-version", "v0.4.2")
    assert "v0.4.2" in told
    assert "main, v0.7.0, v0.6.0, v0.5.0, v0.4.1, v0.4.0, v0.3.0" in told
    assert "release main " in refused(new, "--aibrix-version", "main")


def test_a_checkout_that_is_another_projects_or_not_whole(new, tmp_path):
    (tmp_path / "other").mkdir()
    told = refused(new, "--checkout", str(tmp_path / "other"))
    assert "go.mod" in told
    assert "example.com" not in told
    (tmp_path / "other" / "go.mod").write_text("module example.com/other\n")
    assert "example.com/other" in refused(new, "--checkout", str(tmp_path / "other"))
    half = aibrix.checkout(tmp_path / "half")
    (half / "config" / "crd" / "crds.yaml").unlink()
    assert "crds.yaml" in refused(new, "--profile", str(new.profile), "--checkout", str(half))


def files_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_that_names_envoy_gateway_by_address_is_rendered_with_devenvs(new, tmp_path):
    source = aibrix.checkout(tmp_path / "checkout")
    before = files_in(source)
    rendered = new.devenv(
        "profile", "show", "aibrix", "--rendered", "--full", "--checkout", str(source)
    ).stdout
    objects = {
        (o["kind"], o["metadata"]["name"]): o
        for o in yaml.load_all(rendered, Loader=yaml.CSafeLoader)
    }
    assert ("Deployment", "envoy-gateway") in objects
    assert ("CustomResourceDefinition", "rayclusters.ray.io") in objects
    settings = yaml.safe_load(
        objects["ConfigMap", "envoy-gateway-config"]["data"]["envoy-gateway.yaml"]
    )
    assert settings["extensionApis"]["enableEnvoyPatchPolicy"] is True
    assert settings["logging"]["level"]["default"] == "debug", "the folder's own patch counts"
    assert files_in(source) == before


def test_an_address_out_of_reach_is_told_with_what_does_without(new, tmp_path):
    source = aibrix.checkout(tmp_path / "checkout")
    address = "http://127.0.0.1:9/ray.yaml"
    (source / "config" / "dependency" / "kustomization.yaml").write_text(
        f"resources: [{address}]\n"
    )
    new.profile.write_text(new.profile.read_text() + "needs: {cpus: 1, memory: 1Gi, disk: 1Gi}\n")
    chosen = ("--profile", str(new.profile), "--checkout", str(source), "--full")
    told = refused(new, *chosen, code=3)
    for way in (address, "--manifests FILE", "kustomize_first: []", "--profile offline"):
        assert way in told
    assert "accumulating" not in told
    enough = new.profile.read_text()
    new.profile.write_text(enough.replace("cpus: 1", "cpus: 999"))
    told = refused(new, *chosen, code=3)
    assert "999" in told
    assert address not in told
    new.profile.write_text(f"{enough}kustomize_first: []\n")
    told = new.devenv("profile", "show", str(new.profile), *chosen[2:]).stdout
    assert "config/dependency" not in told


def test_half_of_a_release_is_refused_with_what_it_lacks(new, tmp_path):
    (tmp_path / "crds.yaml").write_text((aibrix.HERE / "config" / "crd" / "crds.yaml").read_text())
    told = refused(new, "--profile", str(new.profile), "--manifests", str(tmp_path / "crds.yaml"))
    for component, resource in (
        ("gateway", "Gateway aibrix-system/aibrix-eg"),
        ("mutating-webhooks", "MutatingWebhookConfiguration aibrix-mutating"),
    ):
        lines = [line for line in told.splitlines() if f"components.{component}:" in line]
        assert any(resource in line for line in lines), told


def test_images_that_are_nowhere_are_told_all_at_once_with_ways_to_bring_them(new, tmp_path):
    new.profile.write_text(new.profile.read_text() + aibrix.overrides("nowhere"))
    config = aibrix.HERE / "config"
    (tmp_path / "core.yaml").write_text(
        aibrix.rendered(config / "default") + "---\n" + aibrix.rendered(config / "crd")
    )
    told = refused(
        new, "--profile", str(new.profile), "--manifests", str(tmp_path / "core.yaml"), code=3
    )
    assert "devenv-test/gateway-plugins:nowhere, devenv-test/controller-manager:nowhere" in told
    assert "docker load" in told
    assert "--checkout" in told


def test_more_than_the_machine_has_is_refused_with_numbers(new, tmp_path):
    new.profile.write_text(new.profile.read_text() + "needs: {memory: 900Gi}\n")
    source = aibrix.checkout(tmp_path / "checkout")
    told = refused(new, "--profile", str(new.profile), "--checkout", str(source), "--full", code=3)
    assert "900 GiB" in told, "the profile's own number counts, with --full too"


# A release, by its address


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def served(tmp_path):
    """A folder, and the address at which it is served."""
    (tmp_path / "served").mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path / "served")
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path / "served", f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@exhaustive
def test_an_early_release_comes_by_its_address_once(built_refs, tmp_path, served):
    folder, address = served
    source = aibrix.checkout(tmp_path / "checkout")
    plugin = source / "cmd" / "plugins" / "main.go"
    assert NAMED_BY_ADDRESS[0] in plugin.read_text()
    plugin.write_text(plugin.read_text().replace(*NAMED_BY_ADDRESS))
    crds = (source / "config" / "crd" / "crds.yaml").read_text()
    (folder / "core-v0.4.1.yaml").write_text(
        aibrix.early(aibrix.rendered(source / "config" / "default"), crds)
    )
    (folder / "dependency-v0.4.1.yaml").write_text(
        (source / "config" / "dependency" / "ray.yaml").read_text()
    )
    urls = "\n".join(
        f"  - {{name: {n}, url: '{address}/{n}-{{version}}.yaml'}}" for n in ("dependency", "core")
    )
    overrides = f"{aibrix.overrides('early')}manifests:\n  - {{name: envoy-gateway, enabled: true}}\n{urls}\n"
    lab = Lab(
        tmp_path / "lab",
        "devenv-test-early",
        overrides=overrides,
        base="aibrix",
        chosen=("--aibrix-version", "v0.4.1"),
    )
    script = [sys.executable, "-c", BUILD, str(lab.profile), str(source), "as released"]
    subprocess.run(script, env=lab.env, check=True, capture_output=True, timeout=600)
    try:
        told = lab.up()
        assert {r["name"]: r["ok"] for r in told["requests"]} == dict.fromkeys(
            ("direct", "extension", "plain"), True
        )
        (by_strategy,) = [r for r in told["requests"] if r["name"] == "extension"]
        assert by_strategy["answer"]["headers"]["target-pod"].endswith(":8000")
        assert answered(lab.json("model", "add", "Qwen2.5_7B")) == TWO, (
            "its controller can't make the route"
        )
        assert lab.devenv("model", "add", NAMES[0], check=False).returncode == 2
        lab.json("model", "rm", "Qwen2.5_7B", "--yes")
        sums = json.loads((lab.folder / "config" / "devenv" / "downloads.lock").read_text())
        assert set(sums) == {f"{address}/{n}-v0.4.1.yaml" for n in ("dependency", "core")}
        assert lab.doctor()["healthy"]
        (folder / "core-v0.4.1.yaml").write_text("changed: true\n")
        assert lab.json("up")["changed"] is False, "what is kept needs no network"
        lab.devenv("down")
        env = {**lab.env, "XDG_CACHE_HOME": str(tmp_path / "empty")}
        argv = lab.argv("up", "--profile", str(lab.profile), *lab.chosen)
        done = subprocess.run(
            argv, env=env, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 2, done.stderr
        assert hashlib.sha256(b"changed: true\n").hexdigest() in done.stderr
    finally:
        forget(lab, "early", source)
