import json
from types import SimpleNamespace

import pytest

from devenv.adapters.docker import DockerEngine
from devenv.ports.engine import Measured


class Api:
    """An engine's answers by path, and what it was asked."""

    def __init__(self, answers) -> None:
        self.answers, self.asked = answers, []

    def _url(self, path):
        return path

    def _get(self, url, params):
        self.asked.append((url, params))
        return SimpleNamespace(json=lambda: self.answers[url])

    def _post(self, url, params):
        self.asked.append((url, params))

    def _raise_for_status(self, answer): ...

    def events(self, **asked):
        self.asked.append(("events", asked))
        return self.answers["events"]


@pytest.fixture
def engine(monkeypatch):
    def answering(**answers):
        api = Api({name.replace("_", "/"): answer for name, answer in answers.items()})
        monkeypatch.setattr(DockerEngine, "_client", lambda *_: api)
        return DockerEngine(), api

    return answering


def test_build_cache_that_images_have_stays_where_it_is_trimmed(engine):
    one, api = engine()
    one.trim_build_cache(12.7)
    ((path, params),) = api.asked
    assert path == "/build/prune"
    assert json.loads(params["filters"]) == {"private": {}, "until": {"12s": True}}


def test_volumes_and_containers_are_measured_and_what_was_not_is_left_out(engine):
    volumes = [
        {"Name": "v", "UsageData": {"Size": 5}},
        {"Name": "unmeasured", "UsageData": {"Size": -1}},
        {"Name": "w"},
    ]
    containers = [{"Names": ["/c"], "SizeRw": 7}, {"Names": ["/d"]}, {"Names": None}]
    one, _ = engine(_system_df={"Volumes": volumes, "Containers": containers})
    assert one.measure(5) == Measured({"v": 5}, {"c": 7, "d": 0})
    newer, _ = engine(
        _system_df={"VolumeUsage": {"Items": volumes}, "ContainerUsage": {"Items": containers}}
    )
    assert newer.measure(5) == Measured({"v": 5}, {"c": 7, "d": 0})


def test_the_names_that_images_got_are_read_from_events(engine):
    events = [
        {"Actor": {"ID": "sha256:1", "Attributes": {"name": "a:1"}}},
        {"Actor": {"ID": "sha256:2"}},
        {},
    ]
    one, _ = engine(events=events)
    assert one.names_given(0) == [("sha256:1", "a:1")]
