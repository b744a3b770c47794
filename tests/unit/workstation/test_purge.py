import json
from dataclasses import replace
from types import SimpleNamespace

import click.testing
import pytest

from devenv import wiring
from devenv.base.errors import DevenvError, Exit
from devenv.cli.down import COMMAND
from devenv.cluster.down import Removal
from devenv.ports.containers import Node
from devenv.ports.engine import Image, ListedContainer
from devenv.state.record import Record, Records
from devenv.ui import console
from devenv.workstation.purge import Purge, PurgePlan

LABELS = "devenv.recipe.name", "devenv.recipe.key"


def built(engine, recipe: str, key: str, tag: str = "") -> None:
    """Add an image with the labels of a recipe's; `tag`: its name, where that is not the recipe's."""
    name = tag or f"devenv.local/{recipe}:{key}"
    labels = dict(zip(LABELS, (recipe, key), strict=True))
    engine.there[name] = Image(f"sha256:{name}", "amd64", 1000, labels, (name,))


@pytest.fixture
def purge(fakes):
    fakes.engine.listed_containers = list
    built(fakes.engine, "kube", "key")
    built(fakes.engine, "node", "key")
    fakes.engine.add("docker.io/library/mine:latest")
    (fakes.host.cache_dir() / "built").mkdir()
    (fakes.host.cache_dir() / "built" / "file").write_bytes(b"x" * 10_000)
    return Purge(fakes.host, fakes.clock, fakes.engine, fakes.engine, fakes.reporter)


def names(items) -> list[str]:
    return [item.name.rpartition("/")[2] for item in items]


def test_only_what_is_devenvs_own_is_listed(purge):
    plan = purge.plan("c")
    assert names(plan.items) == ["kube:key", "node:key", "built"]
    assert plan.items[2].size >= 10_000
    assert (plan.kept, plan.clusters) == ((), ())


@pytest.mark.parametrize(
    "tag",
    [
        "devenv.local/kube:reference",
        "devenv.local/mine:latest",
        "devenv.local/checkout-1/kube:latest",
    ],
)
def test_an_image_that_a_user_built_on_one_of_devenvs_is_never_taken(purge, fakes, tag):
    """It inherits the labels of its base: its name is not the one that they spell."""
    built(fakes.engine, "kube", "key", tag)
    for everything in (False, True):
        assert tag not in [item.name for item in purge.plan("c", everything=everything).items]


def test_a_node_image_that_was_not_filled_goes_too(purge, fakes):
    built(fakes.engine, "node", "key", "devenv.local/node:key-unloaded")
    assert "node:key-unloaded" in names(purge.plan("c").items)


def test_exactly_what_was_listed_is_removed(purge, fakes):
    plan = purge.plan("c")
    built(fakes.engine, "new", "key")
    assert purge.apply(plan.items, 0) == []
    assert set(fakes.engine.there) == {"devenv.local/new:key", "docker.io/library/mine:latest"}
    assert list(fakes.host.cache_dir().iterdir()) == []


def test_a_name_that_another_image_has_by_now_stays(purge, fakes):
    plan = purge.plan("c")
    built(fakes.engine, "kube", "key")
    fakes.engine.there["devenv.local/kube:key"] = replace(
        fakes.engine.there["devenv.local/kube:key"], id="sha256:users"
    )
    (stayed,) = purge.apply(plan.items, 0)
    assert stayed.startswith("devenv.local/kube:key: ")
    assert "devenv.local/kube:key" in fakes.engine.there


def test_an_image_in_use_stays_and_says_why(purge, fakes, monkeypatch):
    real = fakes.engine.untag

    def untag(ref):
        if "node" in ref:
            raise DevenvError("The Docker engine refused.", "conflict")
        real(ref)

    monkeypatch.setattr(fakes.engine, "untag", untag)
    assert purge.apply(purge.plan("c").items, 0) == ["devenv.local/node:key: conflict"]
    assert "devenv.local/node:key" in fakes.engine.there


def container(cluster: str, image: str = "sha256:devenv.local/node:key") -> ListedContainer:
    return ListedContainer(
        f"id-{cluster}", f"{cluster}-control-plane", image, "", "running", 0.0, (), cluster
    )


@pytest.fixture
def other(purge, fakes):
    """Another cluster, which uses the image `kube` by its profile and `old` since it was loaded."""
    built(fakes.engine, "old", "before")
    built(fakes.engine, "redis", "key")
    for name in ("declared", "go-build", "logs"):
        (fakes.host.cache_dir() / name).mkdir()
    for name in ("c", "other"):
        (fakes.host.cache_dir() / "declared" / f"{name}.json").touch()
    loaded = {"id-other": {"docker.io/library/old:1": "sha256:devenv.local/old:before"}}
    Records(fakes.host).write(Record("c", "offline", engine=fakes.engine.id))
    Records(fakes.host).write(Record("other", "offline", engine=fakes.engine.id, loaded=loaded))
    fakes.engine.listed_containers = lambda: [container("c"), container("other")]
    return replace(purge, recipes_of=lambda cluster: frozenset({"devenv.local/kube:key"}))


def test_what_another_cluster_uses_stays_and_it_is_named(other):
    plan = other.plan("c")
    assert plan.clusters == ("other",)
    assert names(plan.kept) == ["kube:key", "old:before", "built"]
    assert names(plan.items) == ["node:key", "redis:key", "c.json", "go-build", "logs"]


def test_all_takes_what_another_cluster_uses_and_names_it_still(other):
    plan = other.plan("c", everything=True)
    assert plan.clusters == ("other",)
    assert plan.kept == ()
    assert {"kube:key", "old:before", "built", "declared"} <= set(names(plan.items))


def test_a_cluster_that_is_gone_uses_nothing(other, fakes):
    fakes.engine.listed_containers = list
    assert other.plan("c").clusters == ()


def test_one_on_another_engine_may_be_there(other, fakes):
    fakes.engine.listed_containers = list
    Records(fakes.host).write(Record("far", "offline", engine="engine-2"))
    assert other.plan("c").clusters == ("far",)


@pytest.mark.parametrize(
    "how", ["its profile is gone", "its record is broken", "another user made it"]
)
def test_of_a_cluster_that_does_not_say_what_it_uses_all_stays(other, fakes, how):
    def gone(cluster):
        raise DevenvError("There is no profile.")

    purge = replace(other, recipes_of=gone)
    path = Records(fakes.host).path("other")
    if how == "its record is broken":
        path.write_text("{")
    if how == "another user made it":
        path.unlink()
    fakes.engine.image = lambda ref: next(
        (i for i in fakes.engine.there.values() if ref in (i.id, *i.tags)), None
    )
    plan = purge.plan("c")
    assert plan.clusters == ("other",)
    assert not [item for item in plan.items if item.image]


def test_a_kind_cluster_that_is_not_devenvs_uses_nothing_of_devenvs(purge, fakes):
    fakes.engine.listed_containers = lambda: [container("theirs", "sha256:kindest/node")]
    assert purge.plan("c").clusters == ()


class Down:
    def __init__(self, log, removal) -> None:
        self.log, self.removal = log, removal

    def plan(self):
        return self.removal

    def run(self, wait, listed=None):
        self.log.append("down")
        return self.removal


NODES = Removal((Node("c-control-plane", "id", "running", "c"),))


@pytest.fixture
def command(purge, monkeypatch):
    """Run `devenv down` with these options; `asked` has the questions, `log` what was done."""
    log = []

    def run(*args, removal=NODES, answer=None):
        world = SimpleNamespace(down=lambda cluster: Down(log, removal), purge=purge)
        monkeypatch.setattr(wiring, "world", lambda: __import__("contextlib").nullcontext(world))
        monkeypatch.setattr(console, "interactive", lambda: answer is not None)
        asked = []

        def ask(question):
            asked.append(question)
            assert "down" not in log, "the cluster is gone before the question"
            return SimpleNamespace(ask=lambda: answer)

        monkeypatch.setattr("questionary.text", ask)
        done = click.testing.CliRunner().invoke(
            COMMAND, ["--name", "c", *args], standalone_mode=False
        )
        return SimpleNamespace(
            error=done.exception, code=done.return_value, out=done.stdout, asked=asked
        )

    run.log = log
    return run


@pytest.mark.parametrize("answer", ["", "y", "yes", "other", "C"])
def test_nothing_goes_unless_the_cluster_s_name_is_typed(command, fakes, answer):
    done = command("--purge", answer=answer)
    assert done.error.exit_code is Exit.FAILED
    assert len(done.asked) == 1
    assert command.log == []
    assert "devenv.local/kube:key" in fakes.engine.there


@pytest.mark.parametrize(
    ("args", "answer", "asked"), [(("--purge",), "c", 1), (("--purge", "--yes"), None, 0)]
)
def test_all_goes_once_it_was_agreed_to(command, fakes, args, answer, asked):
    done = command(*args, "-o", "json", answer=answer)
    assert done.code is Exit.OK
    assert len(done.asked) == asked
    assert command.log == ["down"]
    assert "devenv.local/kube:key" not in fakes.engine.there
    result = json.loads(done.out)["result"]
    assert result["nodes"] == ["c-control-plane"]
    assert (result["kept"], result["other_clusters"]) == ([], [])
    assert len(result["purged"]) == 3


def test_where_nobody_can_be_asked_nothing_goes(command, fakes):
    done = command("--purge")
    assert done.error.exit_code is Exit.USAGE
    assert command.log == []
    assert "devenv.local/kube:key" in fakes.engine.there


@pytest.mark.parametrize(("answer", "goes"), [("", False), ("c", False), ("y", True)])
def test_without_a_cluster_yes_is_enough(command, fakes, answer, goes):
    done = command("--purge", removal=Removal(), answer=answer)
    assert len(done.asked) == 1
    assert ("devenv.local/kube:key" not in fakes.engine.there) is goes


def test_where_there_is_nothing_nobody_is_asked(command, purge, monkeypatch):
    monkeypatch.setattr(Purge, "plan", lambda *_, **__: PurgePlan())
    assert command("--purge", removal=Removal()).code is Exit.OK


def test_a_dry_run_asks_nobody_and_removes_nothing(command, fakes):
    assert command("--purge", "--dry-run").code is Exit.OK
    assert command.log == []
    assert "devenv.local/kube:key" in fakes.engine.there


def test_all_without_purge_is_a_wrong_call(command):
    assert isinstance(command("--all").error, click.UsageError)
