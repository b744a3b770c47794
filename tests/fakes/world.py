import contextlib
import dataclasses
import io
import json
import os
import tarfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from devenv.base.errors import DevenvError, Exit, NotFoundError, NotReachableError
from devenv.facts.node_programs import CLOSE_LOOK, LOOK
from devenv.images.formats.archive import list_images
from devenv.images.nodes.containerd import MARK
from devenv.ports.containers import ContainerState, Node
from devenv.ports.engine import EngineInfo, Image, ListedContainer, Measured
from devenv.ports.gateway import HttpAnswer, HttpRequest
from devenv.ports.host import Holder, Space
from devenv.ports.kube import Manifest
from devenv.ports.processes import Completed

GIB = 1 << 30
PORTS = ((6443, 40001), (30888, 8888))  # that kind maps


class FakeClock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.time = 1000.0

    def monotonic(self) -> float:
        return self.time

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        time.sleep(0.001)  # lets the other threads of a test get somewhere


class SharedClock(FakeClock):
    """Time for threads that all wait the same: it passes once all of them wait, and for all at once."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._pause = 0.0
        self._barrier = threading.Barrier(threads, self._advance)

    def sleep(self, seconds: float) -> None:
        self._pause = seconds
        self._barrier.wait()

    def _advance(self) -> None:
        self.time += self._pause


class FakeReporter:
    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.said: list[str] = []
        # Steps of any plan that have neither begun nor been skipped.
        self.unbegun: set[str] = set()

    def plan(self, steps: Sequence[str]) -> None:
        self.unbegun.update(steps)

    def skip(self, step: str) -> None:
        self.unbegun.discard(step)

    def begin(self, step: str) -> None:
        self.skip(step)
        self.log.append(f"begin {step}")

    def update(self, step: str, done: float, total: float, unit: str) -> None: ...

    def detail(self, step: str, text: str) -> None: ...

    def stage(self, step: str, text: str) -> None:
        self.log.append(f"{step}: {text}")

    def end(self, step: str, note: str = "") -> None:
        self.log.append(f"end {step}")

    def fail(self, step: str) -> None:
        self.log.append(f"fail {step}")

    def say(self, text: str) -> None:
        self.said.append(text)


class FakeHost:
    def __init__(self, home: Path, log: list[str]) -> None:
        self.home, self.log = home, log
        self.programs = {"docker", "gcc", "debootstrap", "kind", "apt-get", "dockerd", "dpkg"}
        self.installed: set[str] = set()
        self.root = True
        self.free = 100 * GIB
        self.holder: Holder | None = None
        self.ports: dict[int, str] = {}
        self.limits: tuple[int, int] | None = (128, 65536)
        self.results: dict[str, Completed] = {}
        self.on_run: Callable[[Sequence[str]], None] = lambda argv: None
        # What an attached program ends with, and the variables that it got.
        self.attached_code = 0
        self.attached_env: dict[str, str] = {}

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Any = None,
        cwd: Any = None,
        log: Any = None,
        on_line: Any = None,
        timeout: float = 60,
    ) -> Completed:
        self.log.append(f"run {' '.join(argv)}")
        self.on_run(argv)
        if argv[0] == "dpkg":
            return Completed(0 if argv[-1] in self.installed else 1, "")
        if argv[0] == "apt-get" and argv[1] == "install":
            self.installed |= set(argv)
        return self.results.get(" ".join(argv[:2])) or self.results.get(argv[0]) or Completed(0, "")

    def attach(self, argv: Sequence[str], env: Mapping[str, str]) -> int:
        self.log.append(f"attach {' '.join(argv)}")
        self.attached_env = dict(env)
        return self.attached_code

    def stop_children(self) -> None:
        self.log.append("stop children")

    def spawn(self, argv: Sequence[str], log: Path) -> None:
        self.log.append(f"spawn {argv[0]}")

    def forget_dead(self, pidfile: Path, program: str) -> None:
        self.log.append(f"forget {pidfile} unless {program} runs")

    def alive(self, pid: int) -> bool:
        return pid == os.getpid()

    def which(self, program: str) -> Path | None:
        return Path("/usr/bin") / program if program in self.programs else None

    def is_root(self) -> bool:
        return self.root

    def withholds_capabilities(self) -> bool:
        return False

    def python(self) -> Path:
        return Path("/usr/bin/python3")

    def space(self, path: Path) -> Space:
        return Space(self.free, 200 * GIB, 10**6, 10**7)

    def memory(self) -> int:
        return 8 * GIB

    def cores(self) -> int:
        return 2

    def port_owner(self, port: int) -> str | None:
        return self.ports.get(port)

    def cache_dir(self) -> Path:
        (self.home / "cache").mkdir(exist_ok=True)
        return self.home / "cache"

    def state_dir(self) -> Path:
        (self.home / "state").mkdir(exist_ok=True)
        return self.home / "state"

    def config_dir(self) -> Path:
        return self.home / "config"

    def lock_holder(self, name: str) -> Holder | None:
        return self.holder

    def inotify(self) -> tuple[int, int] | None:
        return self.limits

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        self.log.append(f"lock {name}")
        yield
        self.log.append(f"unlock {name}")


class FakeWeb:
    """Addresses and what is there."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.pages: dict[str, bytes] = {}

    def fetch(self, url: str, target: Path, progress: Callable[[int, int], None]) -> None:
        self.log.append(f"fetch {url}")
        if url not in self.pages:
            raise NotReachableError(f"{url} can't be reached.", exit_code=Exit.PREREQUISITE)
        target.write_bytes(self.pages[url])


class FakeEngine:
    """Images and containers. `registry` has what can be pulled; empty: none answers."""

    def __init__(self, log: list[str], root: Path) -> None:
        self.log, self.root = log, root
        self.there: dict[str, Image] = {}
        self.registry: set[str] = set()
        self.refusals: dict[str, str] = {}  # registry or ref → what it says instead
        self.containers: dict[str, Node] = {}
        self.in_nodes: dict[str, set[str]] = {}
        self.ended: dict[str, float] = {}  # container → when
        self.configs: dict[str, str] = {}  # name in the nodes → digest of its config
        self.down = False
        self.trouble: NotReachableError | None = None  # how it fails to answer
        self.chosen = ""  # what names its address
        self.id = "engine-1"
        self.push_fails = False
        # ID → name
        self.engine_networks = {"kind-id": "kind"}
        # container → pairs of a network's name and ID
        self.node_networks: dict[str, tuple[tuple[str, str], ...]] = {}
        self.files: dict[str, bytes] = {}
        # What a look at the programs of any node prints, and what a close look prints.
        self.programs, self.close_look = "", ""
        self.names_after = 0  # looks at the cluster's DNS until it answers
        self.volumes_of: dict[str, tuple[str, ...]] = {}  # container → its volumes
        self.measured: Measured | None = Measured({}, {})

    def add(self, ref: str, image_id: str = "", size: int = 1000) -> None:
        self.there[ref] = Image(image_id or f"sha256:{ref}", "amd64", size, {}, (ref,))

    def info(self) -> EngineInfo:
        if self.trouble:
            raise self.trouble
        if self.down:
            raise NotReachableError("No Docker engine answers at unix:///var/run/docker.sock.")
        where = "unix:///var/run/docker.sock"
        return EngineInfo(
            "20.10", "amd64", self.root, where, self.id, 2, 8 * GIB, chosen=self.chosen
        )

    def image(self, ref: str) -> Image | None:
        return self.there.get(ref)

    def history(self, ref: str) -> list[int]:
        return [self.there[ref].size]

    def images(self, label: str) -> list[Image]:
        return list(self.there.values())

    def names(self) -> list[str]:
        return list(self.there)

    def build(
        self,
        context: Path,
        tag: str,
        args: Mapping[str, str],
        labels: Mapping[str, str],
        log: Callable[[str], None],
    ) -> None:
        self.log.append(f"build {tag.split(':', maxsplit=1)[0]}")
        self.add(tag)

    def import_rootfs(self, tar: Path, tag: str, labels: Mapping[str, str]) -> None:
        self.log.append(f"import {tag.split(':', maxsplit=1)[0]}")
        self.add(tag)

    def pull(self, ref: str, platform: str, progress: Callable[[int, int], None]) -> None:
        self.log.append(f"pull {ref}")
        if ref not in self.registry:
            words = self.refusals.get(ref) or self.refusals.get(
                ref.split("/", maxsplit=1)[0], "connection refused"
            )
            raise NotReachableError(f"{ref} could not be pulled.", words)
        self.add(ref)

    def load(self, archive: Path, progress: Callable[[int, int], None]) -> None:
        self.log.append(f"load archive {archive.name}")
        for one in list_images(archive):
            for name in one.names:
                self.add(name, next(iter(one.ids)))

    def tag(self, ref: str, name: str) -> None:
        image = self.there.get(ref) or Image(f"sha256:{ref}", "amd64", 1000, {}, (ref,))
        self.there[name] = dataclasses.replace(image, tags=(*image.tags, name))

    def push(self, name: str, progress: Callable[[int, int], None]) -> None:
        self.log.append(f"push {name.split(':', 1)[0]}")
        if self.push_fails:
            raise RuntimeError("it broke")

    def untag(self, ref: str) -> None:
        self.there.pop(ref, None)

    def save(self, refs: Sequence[str], platform: str) -> Iterator[bytes]:
        listed = json.dumps(
            [{"Config": self.there[ref].id, "RepoTags": [ref], "Layers": []} for ref in refs]
        ).encode()
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            info = tarfile.TarInfo("manifest.json")
            info.size = len(listed)
            archive.addfile(info, io.BytesIO(listed))
        yield out.getvalue()

    def nodes(self, cluster: str) -> list[Node]:
        return [n for n in self.containers.values() if cluster in {"", n.cluster}]

    def listed_containers(self) -> list[ListedContainer]:
        return [
            ListedContainer(
                n.id,
                n.name,
                "",
                "",
                n.status,
                n.created,
                self.volumes_of.get(n.name, ()),
                n.cluster,
            )
            for n in self.containers.values()
        ]

    def measure(self, seconds: float) -> Measured | None:
        return self.measured

    def state(self, container: str) -> ContainerState:
        networks = self.node_networks.get(container, (("kind", "kind-id"),))
        return ContainerState("172.18.0.2", 900.0, self.ended.get(container, 0), networks)

    def start(self, container: str) -> None:
        self.log.append(f"start {container}")
        n = self.containers[container]
        self.containers[container] = Node(n.name, n.id, "running", n.cluster, n.created, PORTS)

    def stop(self, container: str) -> None:
        self.log.append(f"stop {container}")
        n = self.containers[container]
        self.containers[container] = Node(n.name, n.id, "exited", n.cluster)

    def networks(self) -> dict[str, str]:
        return dict(self.engine_networks)

    def create_network(self, subnet: str) -> None:
        self.log.append(f"create network {subnet}")
        self.engine_networks["new"] = "kind"

    def reconnect(self, container: str, network: str) -> None:
        self.log.append(f"reconnect {container} to {network}")
        self.node_networks[container] = ((network, ""),)

    def read_file(self, container: str, path: str) -> bytes:
        if path not in self.files:
            raise NotFoundError(f"no {path}")
        return self.files[path]

    def exec(
        self, container: str, argv: Sequence[str], stdin: Iterable[bytes] | None = None
    ) -> Completed:
        words = " ".join(argv)
        names = self.in_nodes.setdefault(container, set())
        if "/dev/tcp/" in words:
            self.log.append("look for names")
            return Completed(
                0, " 00 6a aa bb\n" if self.log.count("look for names") > self.names_after else ""
            )
        if (told := self._told(words, names)) is not None:
            return Completed(0, told)
        if stdin is not None:
            with tarfile.open(fileobj=io.BytesIO(b"".join(stdin))) as archive:
                loaded = {
                    tag: x["Config"]
                    for x in json.load(archive.extractfile("manifest.json"))
                    for tag in x["RepoTags"]
                }
            own_names = dict(zip(argv[4::2], argv[5::2], strict=True))
            loaded = {own_names.get(name, name): digest for name, digest in loaded.items()}
            sources = list(loaded)
            self.configs |= loaded
            self.log += ["import", *(f"load {source}" for source in sources)]
            names |= set(sources)
            return Completed(0, f"{MARK}\n{self._known(names)}")
        if "content ls" in words:
            return Completed(
                0,
                '{"images": []}\n--- devenv ---\n--- devenv ---\n--- devenv ---\n0 100 0 100 100\n',
            )
        if "images tag" in words:
            names.add(argv[-1])
        if "images remove" in words:
            names.discard(argv[-1])
        return Completed(0, "0 100 0 100 100" if argv[0] == "df" else "")

    def _told(self, words: str, names: set[str]) -> str | None:
        """Return what a node tells of its images and programs, None for any other command."""
        if words.startswith("crictl images"):
            return self._known(names)
        answers = {
            CLOSE_LOOK: self.close_look,
            LOOK: self.programs,
            "images list": "\n".join(names),
        }
        return next((answer for part, answer in answers.items() if part in words), None)

    def _known(self, names: set[str]) -> str:
        return json.dumps(
            {
                "images": [
                    {"id": self.configs.get(n, "sha256:unknown"), "repoTags": [n]} for n in names
                ]
            }
        )

    def run_helper(self, image: str, name: str, argv: Sequence[str]) -> str:
        self.log.append("helper")
        return name

    def exec_detached(self, container: str, argv: Sequence[str]) -> None: ...

    def commit(self, container: str, tag: str, changes: Sequence[str]) -> None:
        self.log.append(f"commit {tag.split(':', maxsplit=1)[0]}")
        self.add(tag)

    def remove_helper(self, name: str) -> None: ...


class FakeKind:
    def __init__(self, log: list[str], engine: FakeEngine, kube: "FakeKube") -> None:
        self.log, self.engine, self.kube = log, engine, kube
        self.fails = False
        self.tidies = False
        self.there = True

    def version(self) -> str | None:
        return "v0.33.0" if self.there else None

    def create(self, name: str, config: str, image: str, log: Callable[[str], None]) -> None:
        self.log.append(f"kind create {name}")
        node = Node(f"{name}-control-plane", f"id-{len(self.log)}", "running", name, 1001, PORTS)
        self.engine.containers[node.name] = node
        if self.fails:
            if self.tidies:
                del self.engine.containers[node.name]
            raise DevenvError("`kind create` failed.")
        self.kube.up = True

    def delete(self, name: str, log: Callable[[str], None]) -> None:
        self.log.append(f"kind delete {name}")
        self.engine.containers = {
            k: n for k, n in self.engine.containers.items() if n.cluster != name
        }
        self.engine.in_nodes.clear()
        self.kube.up = False

    def export_kubeconfig(self, name: str, log: Callable[[str], None]) -> None:
        self.log.append("export kubeconfig")


class FakeKube:
    """Objects become ready as they are applied, as `behave` says; it returns the object's status."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.up = False
        self.port = 40001
        self.objects: dict[tuple[str, str, str], Manifest] = {}
        self.access_log: list[dict[str, Any]] = []
        self.refusals: dict[str, str] = {}  # name of an object → why it would be refused
        self.pods: dict[str, str] = {"mock-1": "10.0.0.1"}

    def ready(self) -> bool:
        return self.up

    def why_unready(self) -> str:
        return "" if self.ready() else "an answer from it"

    def kubeconfig(self) -> str:
        return '{"kind": "Config"}'

    def server_port(self) -> int:
        return self.port

    def forget(self) -> None:
        self.log.append("forget the context")

    @staticmethod
    def proxy() -> Manifest:
        meta = {"name": "proxy", "namespace": "egs"}
        spec = {"replicas": 1, "template": {"metadata": {"labels": {"app": "envoy"}}}}
        return healthy(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
        )

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Manifest | None:
        if (kind, namespace, name) == ("Deployment", "egs", "proxy"):
            return self.proxy()
        return self.objects.get((kind, namespace, name))

    def select(
        self, api_version: str, kind: str, namespace: str = "", selector: str = ""
    ) -> list[Manifest]:
        if kind == "Pod":
            if "owning-gateway" in selector:
                return [
                    {
                        "metadata": {"name": "envoy", "namespace": "egs"},
                        "status": {"phase": "Running"},
                    }
                ]
            return [
                {"metadata": {"name": n, "namespace": "default"}, "status": {"podIP": ip}}
                for n, ip in self.pods.items()
            ]
        if "owning-gateway" in selector:
            return [self.proxy()]
        # Other tasks apply objects at the same time: the copy is made in one go.
        entries = tuple(self.objects.items())
        return [o for (k, where, _), o in entries if k == kind and namespace in {"", where}]

    def each(self, api_version: str, kind: str) -> Iterator[Manifest]:
        yield from self.select(api_version, kind)

    def metadata(self, api_version: str, kind: str) -> list[Manifest]:
        return [{"metadata": o["metadata"]} for o in self.select(api_version, kind)]

    def node_stats(self, name: str) -> Manifest:
        raise NotReachableError("No kubelet is there.")

    def apply(self, manifest: Manifest) -> None:
        meta = manifest["metadata"]
        self.log.append(f"apply {manifest['kind']}/{meta['name']}")
        self.objects[manifest["kind"], meta.get("namespace", ""), meta["name"]] = healthy(manifest)

    def dry_run(self, manifest: Manifest) -> str:
        return self.refusals.get(manifest["metadata"]["name"], "")

    def merge(self, manifest: Manifest) -> None:
        self.log.append(f"merge {manifest['kind']}/{manifest['metadata']['name']}")

    def replace(self, manifest: Manifest) -> None:
        self.log.append(f"replace {manifest['kind']}/{manifest['metadata']['name']}")
        self.apply(manifest)

    def follow(
        self, namespace: str, pod: str, container: str, since_seconds: int, tail: int
    ) -> Iterator[str]:
        yield from ()

    def delete(
        self, api_version: str, kind: str, namespace: str, name: str, *, grace: int | None = None
    ) -> None:
        self.log.append(f"delete {kind}/{name}")
        self.objects.pop((kind, namespace, name), None)

    def logs(
        self, namespace: str, pod: str, container: str, since_seconds: int, tail: int, **_: object
    ) -> str:
        return "\n".join(json.dumps(line) for line in self.access_log)


def healthy(manifest: Manifest) -> Manifest:
    replicas = (manifest.get("spec") or {}).get("replicas", 1)
    true = [
        {"type": t, "status": "True"}
        for t in ("Accepted", "Programmed", "ResolvedRefs", "Established")
    ]
    status = {
        "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas,
        "conditions": true, "ancestors": [{"conditions": true}], "parents": [{"conditions": true}],
    }  # fmt: skip
    return {
        **manifest,
        "metadata": {**manifest["metadata"], "generation": 1},
        "spec": manifest.get("spec") or {},
        "status": status,
    }


class FakeGateway:
    """Answers as a healthy gateway does, and writes the access log. `broken` routes get a 503 from Envoy itself."""

    def __init__(self, kube: FakeKube) -> None:
        self.kube = kube
        self.broken: set[str] = set()
        self.logs = True
        self.routes: dict[str, str] = {}  # model → HTTPRoute, where that is not MODEL-router

    def send(self, request: HttpRequest) -> HttpAnswer:
        model = json.loads(request.body)["model"]
        extension = "routing-strategy" in request.headers
        route = (
            "original_route"
            if extension
            else f"httproute/aibrix-system/{self.routes.get(model, f'{model}-router')}/rule/0"
        )
        kind = "extension" if extension else "direct" if "model" in request.headers else "plain"
        failed = kind in self.broken
        if self.logs:
            self.kube.access_log.append({
                "user-agent": request.headers["user-agent"], "route_name": route, "upstream_cluster": "c",
                "response_flags": "UH" if failed else "-", "response_code_details": "via_upstream",
                "upstream_host": None if failed else "10.0.0.1:8000",
            })  # fmt: skip
        if failed:
            return HttpAnswer(503, {}, "no healthy upstream", 0.01)
        headers = {} if kind == "direct" else {"x-went-into-req-headers": "true"}
        if extension:
            headers["target-pod"] = "mock-1"
        return HttpAnswer(200, headers, '{"content": "hello (pod mock-1)"}', 0.01)
