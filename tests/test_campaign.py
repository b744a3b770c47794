"""The pure half of bench/campaign: the cases, which field changes, and what a round came to."""

import dataclasses
import json
import random
import re
import subprocess

import pytest

from bench.campaign import case, judging, mutation, named, originals
from bench.campaign.cases import CASES
from bench.campaign.judging import Outcome
from devenv.diagnosis.codes import book
from tests.paths import ROOT


def deployment(name="plugins", **spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "aibrix-system"},
        "spec": spec,
    }


def service(name, selector):
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": "aibrix-system"},
        "spec": {"selector": selector},
    }


def diagnosis(*subjects, healthy=False):
    causes = [{"code": "DE302", "subject": s, "says": "", "evidence": []} for s in subjects]
    return {"causes": causes, "healthy": healthy}


def test_the_same_seed_gives_the_same_change():
    objects = [deployment(replicas=1, paused=False), service("redis", {"app": "redis"})]
    first, second = (mutation.choose(objects, random.Random("1/7")) for _ in range(2))
    assert first == second


def test_a_change_differs_and_keeps_identity():
    objects = [deployment(replicas=1, paused=False, template={"spec": {"x": ["a", "b"]}})]
    for number in range(200):
        change = mutation.choose(objects, random.Random(number))
        changed = mutation.applied(objects[0], change)
        assert changed != objects[0]
        assert changed["metadata"] == objects[0]["metadata"]
        assert changed["kind"] == "Deployment"


def test_a_live_object_without_the_field_is_refused():
    change = mutation.choose([deployment(replicas=1)], random.Random(1))
    with pytest.raises(LookupError):
        mutation.applied(deployment(paused=True), change)


def test_definitions_are_left_alone():
    definition = {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "a"},
        "spec": {"group": "g"},
    }
    assert mutation.changeable([definition, deployment(replicas=1)]) == [deployment(replicas=1)]


def way(changed, *others):
    metadata = changed["metadata"]
    namespace = metadata.get("namespace", "")
    change = mutation.Change(changed["kind"], namespace, metadata["name"], ("spec",), 0, 1)
    return mutation.way_of(change, [changed, *others])


def test_a_services_way_leads_to_what_it_selects():
    template = {"metadata": {"labels": {"app": "redis", "tier": "one"}}}
    redis = deployment("redis-master", template=template)
    assert way(service("redis", {"app": "redis"}), redis) == {"redis", "redis-master"}


def test_an_objects_way_leads_to_what_names_it_and_no_further():
    config = {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}}
    reader = deployment("reader", volume="settings")
    stranger = deployment("stranger", after="reader")
    assert way(config, reader, stranger) == {"settings", "reader"}


def test_a_roles_way_leads_over_binding_and_account_to_the_workload():
    role = {"kind": "ClusterRole", "metadata": {"name": "writer"}, "rules": [{"verbs": ["get"]}]}
    binding = {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "writers"},
        "roleRef": {"name": "writer"},
        "subjects": [{"name": "account"}],
    }
    account = {"kind": "ServiceAccount", "metadata": {"name": "account"}}
    user = deployment("controller", serviceAccountName="account")
    assert way(role, binding, account, user) == {"writer", "writers", "account", "controller"}


@pytest.mark.parametrize(
    ("broken", "answer", "outcome"),
    [
        ("request plain", diagnosis("plugins"), Outcome.NAMED),
        ("request plain", diagnosis("redis"), Outcome.MISSED),
        ("request plain", diagnosis(healthy=True), Outcome.CALLED_HEALTHY),
        ("request plain", diagnosis(), Outcome.MISSED),
        ("", diagnosis(healthy=True), Outcome.QUIET),
        ("", diagnosis("plugins"), Outcome.QUIET),
        ("", diagnosis("redis"), Outcome.FALSE_ALARM),
        ("", None, Outcome.CRASHED),
    ],
)
def test_a_round_is_judged(broken, answer, outcome):
    assert judging.judge(broken, answer, {"plugins"}) is outcome


def test_the_summary_counts_only_broken_rounds_for_the_share():
    outcomes = [Outcome.NAMED, Outcome.NAMED, Outcome.MISSED, Outcome.QUIET]
    rounds = [judging.Round(n, "", "", (), outcome) for n, outcome in enumerate(outcomes)]
    assert judging.share_named(rounds) == pytest.approx(2 / 3)


# The named cases

PAGE = (ROOT / "docs" / "campaign.md").read_text()
NONE = case.Case("nothing", "none", (), lambda lab: None, case.TAKEN_BACK)


def test_the_page_has_a_row_of_each_case():
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.count(" | ") == 3]
    names = [row[1] for row in rows]
    assert [name for name in names if name in {c.name for c in CASES}] == [c.name for c in CASES]
    for one in CASES:
        row = rows[names.index(one.name)]
        assert all(f"{code} {word}" in row[2] for code, word in one.roots)
        assert (row[0], row[3]) == (f"| {one.layer}", f"{one.heals} |")


def test_the_page_names_each_code_without_a_case_once():
    used = {code for one in CASES for code, _ in one.roots}
    rows = [line.split(" | ")[0] for line in PAGE.splitlines() if line.startswith("| DE")]
    named_codes = re.findall(r"DE\d{3}", " ".join(rows))
    assert sorted(named_codes) == sorted(set(book()) - used)


def test_each_case_has_a_name_of_its_own():
    assert len({one.name for one in CASES}) == len(CASES)


def root(code, subject, *texts):
    return {
        "code": code,
        "subject": subject,
        "says": "",
        "evidence": [{"text": text} for text in texts],
    }


@pytest.mark.parametrize(
    ("roots", "lacks"),
    [
        ([root("DE302", "plugins")], False),
        ([root("DE302", "redis")], True),
        ([root("DE302", "plugins"), root("DE302", "redis")], True),
        ([], True),
    ],
)
def test_the_expected_roots_are_all_and_no_other_is(roots, lacks):
    answer = {"causes": roots, "in_progress": []}
    assert bool(named.lack_of_roots(answer, [("DE302", "plugin")])) is lacks


def test_what_is_in_progress_is_not_named_yet():
    answer = {"causes": [root("DE302", "plugins")], "in_progress": [{"says": "a rollout"}]}
    assert named.lack_of_roots(answer, [("DE302", "plugins")])


def test_words_that_no_evidence_has_are_lacking():
    answer = {"causes": [root("DE314", "Namespace held", "finalizers=['a/b']", "since 9")]}
    assert named.lack_of_words(answer, ["a/b", "since"]) == ""
    assert named.lack_of_words(answer, ["a/b", "other"])


def test_a_typed_pipe_leads_from_program_to_program():
    words = ["echo", "{}", "|", "kubectl", "replace", "-f", "-"]
    assert named.pipeline(words) == [["echo", "{}"], ["kubectl", "replace", "-f", "-"]]
    assert named.pipeline(["kubectl", "get"]) == [["kubectl", "get"]]


POLICY = {
    "apiVersion": "example.org/v1",
    "kind": "Policy",
    "metadata": {"name": "p", "namespace": "n"},
    "spec": {"limit": 1},
}


class FakeLab:
    """A cluster with one object of its profile. `faults`: what doctor names while it is there."""

    profile = "profile.yaml"

    def __init__(self, *faults):
        self.log, self.faults, self.live = [], list(faults), POLICY

    def doctor(self):
        self.log.append("look")
        causes = [root(*fault) for fault in self.faults]
        return {"healthy": not causes, "causes": causes, "in_progress": [], "unknown": []}

    def devenv(self, *words, check=True):
        self.log.append(words[0])
        return subprocess.CompletedProcess(words, 0, stdout=json.dumps(POLICY))

    def json(self, *words):
        """Heal, as `recover` does."""
        self.log.append(words[0])
        self.faults.clear()

    def kubectl(self, *words):
        return json.dumps(self.live)

    def kubectl_in(self, content, *words):
        self.log.append(words[0])
        self.live = json.loads(content)

    def eventually(self, what, missing, seconds=0, pause=0):
        for _ in range(9):
            if not missing():
                return
        raise AssertionError(what)


def test_a_campaign_goes_on_where_it_was_cut_off(tmp_path):
    def fail(lab):
        raise AssertionError("broken beyond repair")

    injected = []
    good = dataclasses.replace(NONE, name="good", inject=injected.append)
    bad = dataclasses.replace(NONE, name="bad", inject=fail)
    results, lab = tmp_path / "results", FakeLab()
    assert named.run(lab, [good], results) == 0
    assert named.run(lab, [good, bad], results) == 1
    assert injected == [lab]
    entries = list(map(json.loads, results.read_text().splitlines()))
    assert [(one["case"], bool(one["problem"])) for one in entries] == [
        ("good", False),
        ("bad", True),
    ]


def test_what_heals_must_heal_before_anything_is_put_back():
    lab = FakeLab()

    def inject(lab):
        lab.faults.append(("DE406", "p"))
        lab.live = {**POLICY, "spec": {"limit": 2}}

    one = case.Case(
        "one", "none", (("DE406", "p"),), inject, clean=lambda lab: lab.log.append("clean")
    )
    assert named.run(lab, [one]) == 0
    assert lab.log == [
        "profile", "look", "look", "recover", "look", "look", "clean", "replace", "look", "look",
    ]  # fmt: skip
    assert lab.live == POLICY


def test_a_fix_that_heals_nothing_fails_its_case():
    lab = FakeLab()
    lab.json = lambda *words: None
    one = case.Case("one", "none", (("DE406", "p"),), lambda lab: lab.faults.append(("DE406", "p")),
                    clean=lambda lab: lab.faults.clear())  # fmt: skip
    assert named.run(lab, [one]) == 1


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"status": {"phase": "Bound"}}, False),
        ({"spec": {"limit": 1, "clusterIP": "10.0.0.9"}}, False),
        ({"spec": {"limit": 2}}, True),
        ({"metadata": {**POLICY["metadata"], "generation": 7}}, False),
        ({"metadata": {**POLICY["metadata"], "labels": {"a": "b"}}}, True),
    ],
)
def test_what_differs_from_the_original_is_put_back(changes, differs):
    lab = FakeLab()
    objects = originals.read(lab)
    lab.live = {**POLICY, **changes}
    assert objects.put_back(lab) == ["Policy/p"] * differs


def test_a_restart_is_no_difference():
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {}}
    lab = FakeLab()
    lab.live = {**POLICY, "spec": {"template": template}}
    objects = originals.read(lab)
    restarted = {**template["metadata"], "annotations": {"kubectl.kubernetes.io/restartedAt": "x"}}
    lab.live = {**POLICY, "spec": {"template": {**template, "metadata": restarted}}}
    assert objects.put_back(lab) == []
