"""What a finding is made of: its parts are typed, and its texts are what they always were."""

import pytest

from devenv.diagnosis import keys
from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.keys import Key
from devenv.diagnosis.model import Advice, Command, Subject
from devenv.profiles.model import Route
from tests.unit.diagnosis.covers import is_command
from tests.unit.diagnosis.spelled import key
from tests.unit.diagnosis.test_diagnose_incidents import NAMES, read


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        (Subject("kernel"), "kernel"),
        (Subject("node", "n"), "node n"),
        (Subject("Service", "a/b"), "Service a/b"),
        (Subject("workload", "a/b", named_alone=True), "a/b"),
        (Subject.component("redis"), "redis"),
    ],
)
def test_the_text_of_a_subject(subject, text):
    assert str(subject) == text


def test_subjects_of_the_same_text_are_not_the_same():
    assert Subject.component("cluster") != Subject("cluster")


def test_a_command_is_told_by_its_words():
    command = Command(("devenv", "recover", "--name", "x"))
    assert str(command) == "devenv recover --name x"
    assert command.runs("devenv")
    assert command.runs("devenv", "recover")
    assert not command.runs("devenv", "restart")
    assert not Command(("devenvx",)).runs("devenv")
    assert not Command(("devenv",)).runs("devenv", "recover")


@pytest.mark.parametrize("name", NAMES)
def test_what_can_be_copied_is_a_command_and_all_else_is_advice(name):
    fixes = [fix for cause in diagnose(read(name)).causes for f in cause.findings for fix in f.fix]
    for fix in fixes:
        is_copyable = is_command(str(fix)) and ", then " not in str(fix)
        assert isinstance(fix, Command if is_copyable else Advice), fix


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (keys.FILTER, "filter"),
        (keys.component("redis"), "component/redis"),
        (keys.deployment("a/b"), "deployment/a/b"),
        (keys.object_of("HTTPRoute", "a/b"), "HTTPRoute/a/b"),
        (keys.service("a/b"), "Service/a/b"),
        (keys.http_route("m"), "http route/m"),
        (keys.route(Route.DIRECT), "route/direct"),
        (keys.route(Route.DIRECT, "m"), "route/direct/m"),
    ],
)
def test_a_key_has_a_kind_and_a_name(made, text):
    assert (str(made), key(text)) == (text, made)


def test_a_key_is_no_string():
    assert keys.FILTER != "filter"
    assert keys.lease("x") != keys.GATEWAY_LEASE


def test_only_keys_of_a_kind_give_their_names():
    about = {keys.component("a"), keys.deployment("x/a"), Key("component b"), keys.XDS}
    assert keys.names_in(about, keys.COMPONENT) == {"a"}
    assert keys.names_in(about, keys.DEPLOYMENT) == {"x/a"}
    assert keys.names_in(about, keys.CERTIFICATE) == set()
