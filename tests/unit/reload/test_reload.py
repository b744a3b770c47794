"""What `reload-image --build` leaves in the engine, round after round, as with --watch."""

from types import SimpleNamespace

import pytest

from devenv import data
from devenv.base.errors import DevenvError
from devenv.profiles.load import load
from devenv.reload.plan import Plan
from devenv.reload.reload import Options, Reload
from devenv.reload.rollout import Renewed
from tests.unit.facts.test_leases import SCHEDULER, lease
from tests.unit.state.test_own_builds import TAG, Engine
from tests.unit.state.test_proven import NAME, NODE, Cluster


class FakeReload(Reload):
    """One whose builds, loads and rollouts are the test's own."""

    def prepare(self, cluster: Cluster) -> None:
        self.of, self.rounds, self.fails, self.told = cluster, 0, False, True
        self.in_place = SimpleNamespace(build=self.build, built_images={})
        self.pusher = SimpleNamespace(forget_leftovers=lambda: None)

    def build(self, image):
        self.rounds += 1
        self.session.engine.build(f"sha256:{self.rounds}")
        if self.told:
            self.in_place.built_images[NAME] = [f"sha256:{self.rounds}"]

    def _start_push(self, arguments):
        return None

    def plan(self, arguments):
        return Plan((), (), (NODE,))

    def _load(self, plan, started_push):
        self.of.load(str(self.rounds))
        return ()

    @property
    def rollout(self):
        return SimpleNamespace(proven=self.of.proven, run=self.run_out, steps=lambda workloads: ())

    def run_out(self, workloads, expected):
        if self.fails:
            raise DevenvError("It does not become ready.")
        self.of.proven.prove([NODE], [NAME])
        return Renewed()


@pytest.fixture
def reload(fakes, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        "extends: offline\nname: own\nimages: [{name: vllm-mock, build: [make, image], build_in: src}]\n"
    )
    profile = load(str(own), data.root() / "profiles")
    cluster, engine = Cluster(fakes), Engine()
    engine.build("sha256:first")
    cluster.proven.reporter.log.clear()
    one = FakeReload(
        fakes.session("c", profile, engine=engine, containers=cluster.containers),
        None,
        None,
        None,
        None,
        Options(build=True),
    )
    one.prepare(cluster)
    return one


def run(reload: FakeReload) -> None:
    reload.run([("vllm-mock", "")], 0)


def test_after_each_proved_round_two_images_stay(reload):
    for _ in range(4):
        run(reload)
    assert set(reload.session.engine.tags) == {"sha256:first", "sha256:3", "sha256:4"}, (
        "the first one is the user's"
    )
    assert (reload.of.image, reload.of.kept) == ("4", {"3"})


def test_what_a_command_builds_under_another_name_than_the_profiles_is_its_own_too(reload):
    reload.told = False
    for _ in range(4):
        reload.run([(TAG, "devenv.local/vllm-mock:reference")], 0)
    assert set(reload.session.engine.tags) == {"sha256:first", "sha256:3", "sha256:4"}


def test_rounds_that_fail_leave_no_more_than_the_proved_ones_and_the_last(reload):
    run(reload)
    run(reload)
    reload.fails = True
    for _ in range(3):
        with pytest.raises(DevenvError):
            run(reload)
    assert set(reload.session.engine.tags) == {"sha256:first", "sha256:1", "sha256:2", "sha256:5"}
    assert (reload.of.image, reload.of.kept) == ("5", {"1", "2"})
    reload.fails = False
    run(reload)
    assert set(reload.session.engine.tags) == {"sha256:first", "sha256:2", "sha256:6"}
    assert (reload.of.image, reload.of.kept) == ("6", {"2"})


def test_what_the_user_has_built_meanwhile_is_not_removed(reload):
    run(reload)
    reload.session.engine.build("sha256:users")
    reload.options = Options()
    reload.rounds = "users"
    run(reload)
    reload.options, reload.rounds = Options(build=True), 1
    for _ in range(3):
        run(reload)
    assert set(reload.session.engine.tags) == {
        "sha256:first",
        "sha256:users",
        "sha256:3",
        "sha256:4",
    }


@pytest.mark.parametrize("restart", [True, False])
def test_a_cluster_without_its_scheduler_is_left_alone(reload, monkeypatch, restart):
    leases = [lease(SCHEDULER, 1), lease("n", 90)]
    monkeypatch.setattr(reload.session.kube, "select", lambda *_: leases)
    reload.options = Options(build=True, restart=restart)
    if restart:
        with pytest.raises(DevenvError) as caught:
            run(reload)
        assert SCHEDULER in caught.value.what
    else:
        run(reload)
    assert reload.rounds == (0 if restart else 1)
