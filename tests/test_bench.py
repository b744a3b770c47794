"""No bench leaves anything behind, however it ends. The engine here is a fake; the machinery is real."""

import os
import pkgutil
import re
import signal
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import psutil
import pytest

import bench
from bench import traces
from bench.loop import build_script
from bench.reload import Bench
from tests.paths import ROOT

BENCHES = sorted({module.name for module in pkgutil.iter_modules(bench.__path__)} - {"traces"})
SOURCES = sorted({*ROOT.glob("bench/**/*.py")} - {ROOT / "bench" / "traces.py"})
ELSEWHERE = re.compile(r'tempfile|mkdtemp|"docker", "(run|create|build|pull|volume|network)"')


class FakeDocker:
    """An engine as docker's command line shows it. `trouble` is called before each command, with its words."""

    def __init__(self):
        self.containers, self.images = {}, {}
        self.volumes, self.networks = {"user's"}, {"bridge"}
        self.count, self.trouble = 0, lambda argv: None
        self.make_image("user's", ())

    def __call__(self, *argv):
        self.trouble(argv)
        command, options = getattr(self, f"_{argv[0]}"), [w for w in argv if w.startswith("--")]
        words = [word for word in argv[1:] if not word.startswith("--")]
        return command(options, *words)

    def _ps(self, options):
        return self._labelled(self.containers, options)

    def _images(self, options):
        return self._labelled(self.images, options)

    def _volume(self, _options, _verb):
        return " ".join(self.volumes)

    def _network(self, _options, verb, name):
        if verb == "ls":
            return " ".join(self.networks)
        self._refuse([self.containers, name not in self.networks])
        self.networks.remove(name)
        return ""

    def _inspect(self, _options, _format, name):
        return self._get(self.containers, name).volume

    def _rm(self, options, name):
        container = self._get(self.containers, name)
        del self.containers[name]
        if "--volumes" in options:
            self.volumes.discard(container.volume)
        return ""

    def _rmi(self, _options, name):
        self._get(self.images, name)
        self._refuse(image.parent == name for image in self.images.values())
        del self.images[name]
        return ""

    def _create(self, options, image, _command):
        return self.make_container(options[0].removeprefix("--"), parent=image)

    def _cp(self, _options, _file, _target):
        return ""

    def _commit(self, _options, name):
        container = self._get(self.containers, name)
        return self.make_image(self._new("image"), container.labels, container.parent)

    def make_image(self, name, labels, parent=""):
        self.images[name] = SimpleNamespace(labels=labels, parent=parent)
        return name

    def make_container(self, label, parent="", volume=""):
        name = self._new("container")
        self.containers[name] = SimpleNamespace(labels=(label,), parent=parent, volume=volume)
        self.volumes |= {volume} - {""}
        return name

    def make_node(self, cluster):
        """What `kind create cluster` makes."""
        self.networks.add("kind")
        label = f"label=io.x-k8s.kind.cluster={cluster}"
        return self.make_container(label, volume=self._new("volume"))

    def state(self):
        return set(self.containers), set(self.images), set(self.volumes), set(self.networks)

    def _new(self, kind):
        self.count += 1
        return f"{kind}{self.count}"

    @staticmethod
    def _labelled(things, options):
        filters = {w.removeprefix("--filter=") for w in options if w.startswith("--filter=")}
        return " ".join(name for name, thing in things.items() if filters <= set(thing.labels))

    def _get(self, things, name):
        self._refuse([name not in things])
        return things[name]

    @staticmethod
    def _refuse(reasons):
        if any(reasons):
            raise subprocess.CalledProcessError(1, "docker")


@pytest.fixture
def docker(monkeypatch, tmp_path):
    fake = FakeDocker()
    # The default is bound already.
    monkeypatch.setattr(traces.platformdirs, "user_cache_path", lambda _name: tmp_path)
    monkeypatch.setattr(traces.made_by.__wrapped__, "__defaults__", (fake,))
    return fake


def build(own, docker):
    """Build two images, one on the other, as reload does."""
    lab = SimpleNamespace(docker=docker)
    own_bench = Bench(lab, "kind", "user's", own.folder, own.label)
    first = own_bench.add("user's", "layer", 0)
    own_bench.add(first, "layer", 0)


def during(name, work):
    with traces.made_by(name) as own:
        work(own)


@pytest.fixture(autouse=True)
def interruptible():
    """What a shell starts in the background ignores SIGINT; here it interrupts, as at a terminal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


ENDINGS = {
    "well": (lambda: None, None),
    "fails": (lambda: pytest.fail("it"), pytest.fail.Exception),
    "exits": (sys.exit, SystemExit),
    "is interrupted": (lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt),
    "is terminated": (lambda: signal.raise_signal(signal.SIGTERM), SystemExit),
    "loses its terminal": (lambda: signal.raise_signal(signal.SIGHUP), SystemExit),
}


def started_program():
    """Return a program that runs until it is killed, once it has said something.

    A program that is only being started has no variables yet, by which a bench knows its own.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    program = subprocess.Popen(["sh", "-c", "echo; read line"], **pipes)
    program.stdout.readline()
    return program


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_leaves_nothing(name, ending, docker, monkeypatch, tmp_path):
    module, made = import_module(f"bench.{name}"), []
    end, error = ENDINGS[ending]
    before, environment = docker.state(), dict(os.environ)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def measure(own, *_arguments):
        docker.make_node(own.cluster)
        build(own, docker)
        (own.folder / "file").touch()
        (tmp_path / "declared").mkdir()
        (tmp_path / "declared" / f"{own.cluster}.json").touch()
        (tmp_path / "declared" / "other.json").touch()
        made.extend((own.folder, started_program()))
        assert docker.state() != before
        end()

    monkeypatch.setattr(module, "measure", measure)
    monkeypatch.setattr(sys, "argv", [name])
    if error:
        with pytest.raises(error):
            module.main()
    else:
        module.main()
    folder, process = made
    still_runs = psutil.pid_exists(process.pid)
    process.kill()
    process.communicate()
    assert not still_runs
    assert not folder.exists()
    assert [file.name for file in tmp_path.glob("*/*")] == ["other.json"]
    assert docker.state() == before
    assert dict(os.environ) == environment
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


# The commands of build().
@pytest.mark.parametrize("number", range(8))
def test_reload_leaves_nothing_whichever_command_is_interrupted(number, docker):
    before, commands = docker.state(), []

    def interrupt(argv):
        commands.append(argv)
        if len(commands) == number + 1:
            raise KeyboardInterrupt

    def measure(own):
        docker.trouble = interrupt
        build(own, docker)

    with pytest.raises(KeyboardInterrupt):
        during("reload", measure)
    assert docker.state() == before


def test_a_second_interrupt_does_not_stop_the_removal(docker):
    before = docker.state()

    def interrupt(argv):
        if argv[0] in {"rm", "rmi"}:
            signal.raise_signal(signal.SIGINT)

    def measure(own):
        build(own, docker)
        docker.make_node(own.cluster)
        docker.trouble = interrupt
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        during("reload", measure)
    assert docker.state() == before


def test_what_others_make_meanwhile_stays_and_is_told(docker, capsys):
    with traces.made_by("up") as own:
        docker.make_node(own.cluster)
        other = docker.make_node("other")
    assert list(docker.containers) == [other]
    assert "kind" in docker.networks
    assert other in capsys.readouterr().err


def test_images_go_in_whichever_order_the_engine_takes_them(docker):
    before = docker.state()

    def measure(own):
        parent = ""
        for number in range(9):
            parent = docker.make_image(f"a{number}", (own.label.removeprefix("--"),), parent)

    during("reload", measure)
    assert docker.state() == before


def test_a_network_that_was_there_before_stays(docker):
    docker.networks.add("kind")
    during("up", lambda own: docker.make_node(own.cluster))
    assert "kind" in docker.networks


def test_what_cannot_be_removed_is_an_error(docker):
    def measure(own):
        docker.make_image("stays", (own.label.removeprefix("--"),))
        docker.make_image("of another", (), parent="stays")

    with pytest.raises(SystemExit, match="stays"):
        during("reload", measure)


def test_a_bench_does_not_touch_what_another_run_has_made(docker):
    node = docker.make_node("devenv-bench-up")
    before = docker.state()
    with pytest.raises(SystemExit, match=node):
        during("up", lambda own: pytest.fail("it began"))
    assert docker.state() == before


def test_the_loop_marks_what_it_builds(tmp_path):
    own = traces.Traces("loop", tmp_path, FakeDocker())
    assert own.label in build_script(own)


@pytest.mark.parametrize("source", SOURCES, ids=lambda file: file.stem)
def test_a_bench_makes_things_only_through_its_traces(source):
    assert not ELSEWHERE.search(source.read_text())
