"""The example in CONTRIBUTING.md's recipe for a doctor check works as it is printed."""

import re
import shutil

import pytest
import yaml

from devenv.diagnosis import causes
from devenv.diagnosis.checks import workload
from devenv.diagnosis.checks.registry import CHECKS
from devenv.diagnosis.codes import Code, book
from devenv.diagnosis.diagnose import diagnose
from devenv.facts import trim
from devenv.facts.collect import BARE, KINDS, trim_of
from devenv.facts.model import WORKLOADS, parse
from devenv.facts.trim import only_metadata
from docs import check_words
from tests.paths import INCIDENTS, ROOT
from tests.unit.diagnosis import covers
from tests.unit.diagnosis.facts_builder import HOUR, set_condition

RECIPES = (ROOT / "CONTRIBUTING.md").read_text()
BLOCK = re.compile(
    r"^( *)<!-- example: (.+?) -->\n *```\w+\n(.*?)^ *```$", re.MULTILINE | re.DOTALL
)
EXAMPLES = {
    name: re.sub(rf"^{margin}", "", text, flags=re.MULTILINE)
    for margin, name, text in BLOCK.findall(RECIPES)
}
CODE = "DE399"
# All that facts may keep of an object.
TRIM_FIELDS = {
    *trim.METADATA,
    *trim.PLACING,
    *trim.CONTAINER,
    *trim.DROPPED_STATUS,
    *trim.ANNOTATIONS,
    *trim.REVISION_FIELDS,
    *trim.REVISION_SPEC,
    *trim.ENDPOINT,
    *trim.WEBHOOK,
}


@pytest.fixture
def own_checks():
    """Forget the checks that a test registers."""
    registered_checks = list(CHECKS)
    yield
    CHECKS[:] = registered_checks


@pytest.fixture
def tests(monkeypatch, own_checks):
    """Do what the recipe says, and return what its file of tests defines."""
    monkeypatch.setattr(covers, "COVERED", {})
    entry = yaml.safe_load(EXAMPLES["devenv/diagnosis/codes.yaml"])[CODE]
    monkeypatch.setitem(book(), CODE, Code(CODE, **entry))
    edge = eval(f"{{{EXAMPLES['devenv/diagnosis/causes.py']}}}", vars(causes))  # noqa: S307
    monkeypatch.setitem(causes.FOLLOWS, CODE, edge[CODE])
    exec(EXAMPLES["devenv/diagnosis/checks/workload.py"], dict(vars(workload)))  # noqa: S102
    defined: dict = {}
    exec(EXAMPLES["tests/unit/diagnosis/checks/test_workload.py"], defined)  # noqa: S102
    return defined


def test_the_example_is_of_a_code_that_is_free():
    assert CODE not in book()


def test_the_tests_of_the_example_pass(tests):
    tests["test_a_paused_deployment"](CODE)
    tests["test_an_old_revision_is_an_effect_of_the_pause"](HOUR, "DE304")
    tests["test_an_old_revision_is_an_effect_of_the_pause"](5, "DE312")


def test_an_incident_is_made_by_hand(tests, tmp_path, monkeypatch):
    folder = tmp_path / "tests" / "incidents"
    shutil.copytree(INCIDENTS / "healthy", folder / "healthy")
    monkeypatch.chdir(tmp_path)
    exec(EXAMPLES["a recording"], {})  # noqa: S102
    (made,) = folder.glob("handmade-*")
    facts = parse((made / "facts.json").read_text())
    assert [cause.root.code for cause in diagnose(facts).causes] == [CODE]


def test_a_condition_that_an_object_lacks_is_added():
    obj = {}
    set_condition(obj, "Stalled", "True", reason="Why")
    (condition,) = obj["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == (
        "Stalled",
        "True",
        "Why",
    )


def test_the_words_of_checks_are_those_of_the_modules(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["check_words.py", "Deployment"])
    check_words.main()
    told = capsys.readouterr().out
    assert '"matchLabels"' in told


def at_path(obj: dict, path: str) -> dict:
    """Return what is at a path, of lists the first entry."""
    for key in filter(None, path.split(".")):
        obj = obj[key][0] if isinstance(obj[key], list) else obj[key]
    return obj


def whole_object(kind: str) -> dict:
    """Return an object with all fields that a rule may name, and with one that none names."""
    own = {"other": 1}
    fields = dict.fromkeys(TRIM_FIELDS, "1") | own
    metadata = {**fields, "labels": {}, "annotations": fields}
    container = {**fields, "env": []}
    pod = {**fields, "initContainers": [container], "containers": [container]}
    template = {"metadata": metadata, "spec": pod}
    spec = {"Pod": pod}.get(kind, fields | ({"template": template} if kind in WORKLOADS else {}))
    beside = {"Event": dict.fromkeys(trim.EVENT), "EndpointSlice": {"endpoints": [fields]}}
    if kind.endswith("WebhookConfiguration"):
        beside[kind] = {"webhooks": [{**fields, "clientConfig": {}}]}
    own |= beside.get(kind, {}) | {"revision": 1, "data": {}}
    return {**own, "metadata": metadata, "spec": spec, "status": fields}


@pytest.mark.parametrize("kind", [kind for _, kind in KINDS])
def test_the_fields_that_are_said_to_be_kept_are_those_that_trimming_keeps(kind):
    trim_object = only_metadata if kind in BARE else trim_of(kind)
    whole, kept = whole_object(kind), trim_object(whole_object(kind))
    rule = check_words.kept_fields(kind)
    for path, names in rule.items():
        if path:
            all_of_them, _, dropped = names.partition(" but ")
            is_whole = all_of_them == check_words.ALL
            source = set(at_path(whole, path)) - set(dropped.split(", "))
            expected = source if is_whole else set(names.split(", "))
            assert at_path(kept, path).keys() == expected, path
    beside = rule.get("", "").partition(" (")[0].split(", ")
    sections = {path.partition(".")[0] for path in rule}
    assert kept.keys() == {*sections, *beside} - {""}


def test_a_class_is_cut_down_to_the_members_with_the_word():
    source = "class A:\n    '''All.'''\n    # one\n    a: int\n    def b(self) -> int:\n        '''Two.'''\n"
    (entry,) = check_words.entries(source)
    assert str(entry.about("one")) == "class A: All.\n    # one\n    a: int"
    assert str(entry.about("two")) == "class A: All.\n    b(self) -> int\n        Two."
    assert entry.about("three") is None
