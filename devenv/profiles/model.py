"""A profile: one YAML file that says everything about an environment."""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from devenv.profiles.base import (
    Address,
    Amount,
    Argument,
    AutoPrune,
    ImageName,
    Model,
    ObjectName,
    Share,
    Size,
    Title,
    Whole,
)
from devenv.profiles.headers import Headers
from devenv.profiles.wording import Place, PlacedError
from devenv.userfiles import near_it

# The base of what was found in a cluster of somebody else's.
FOUND = "found"
# That kind knows.
_ROLES = ("control-plane", "worker")
# Of `up`, which waits for components beside them.
STEPS = {
    "cluster",
    "images",
    "api server",
    "definitions",
}


class Route(StrEnum):
    """The ways that a request can take through the gateway."""

    # GET /v1/models, which the metadata service answers.
    MODELS = "models"

    # By its `model` header, through the model's own HTTPRoute.
    DIRECT = "direct"
    # By its `routing-strategy` header: the plugin chooses the pod.
    EXTENSION = "extension"
    # With neither: the plugin reads the model from the body.
    PLAIN = "plain"


class Cluster(Model):
    """How the cluster is made."""

    # An entry of `images`.
    image: str
    kind: Mapping[str, Any]

    @model_validator(mode="after")
    def _nodes(self) -> "Cluster":
        nodes = self.kind.get("nodes", [])
        if not (
            nodes is None
            or (isinstance(nodes, list) and all(isinstance(n, Mapping) for n in nodes))
        ):
            raise ValueError("kind.nodes is no list of nodes")
        roles = [n.get("role", "control-plane") for n in nodes or ()]
        unknown: list[tuple[Place, str]] = []
        unknown += [
            (("kind", "nodes", i), f"kind has no role {role!r}")
            for i, role in enumerate(roles)
            if role not in _ROLES
        ]
        if not unknown and roles and "control-plane" not in roles:
            unknown = [(("kind", "nodes"), "one node must have the role control-plane")]
        if unknown:
            raise PlacedError(unknown)
        return self


class GatewayPorts(Model):
    """The Gateway and its ports, from which the port mapping, the NodePort and the URL follow."""

    namespace: ObjectName
    name: ObjectName
    host_port: Whole = Field(ge=1, le=65535)
    node_port: Whole = Field(ge=30000, le=32767)

    @property
    def url(self) -> str:
        """Where its clients find it."""
        return f"http://localhost:{self.host_port}"


class GoProgram(Model):
    """A Go program that makes an image of its own: nothing in it but the program, run by nobody in particular."""

    # In the module, like ./cmd/plugins.
    package: str
    # Where the image has it, like /gateway-plugins.
    entrypoint: str
    # distroless' nonroot.
    user: str = "65532:65532"
    tags: tuple[str, ...] = ()
    # The newest Go that the source takes, of those in images/toolchain.yaml.
    at_most: str = Field(default="", pattern=r"^(1\.25)?$")


class PythonBase(Model):
    """The base of a Python program's image: pulled if a registry answers, built otherwise."""

    ref: str = "docker.io/library/python:3.11-slim-bookworm"
    recipe: str = "python"


class PythonProgram(Model):
    """A Python program that devenv packs into an image: its files and packages on a base.

    The base must have Python 3.11. Packages are PyPI's wheels for it; devenv compiles none.
    """

    # In the checkout.
    folder: str
    # Patterns of what is taken from it, in the image's /app.
    files: tuple[str, ...]
    # A file of the folder that names packages.
    requirements: str = ""
    # Further packages.
    packages: tuple[str, ...] = ()
    # A poetry.lock of the folder, whose versions count.
    lock: str = ""
    # A name on the image's PATH → MODULE:FUNCTION.
    programs: Mapping[str, str] = {}
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    base: PythonBase = PythonBase()


class ProfileImage(Model):
    """An image and where it may come from: the engine, an archive, a registry, a recipe."""

    name: str
    # Its name in the cluster.
    ref: ImageName
    # A file that `docker save` wrote, seen from the profile's folder; it comes before all others.
    archive: str = ""
    recipe: str = ""
    pull: bool = True
    build: tuple[
        Argument, ...
        # The command that builds it in the engine, for `reload-image --build`.
    ] = ()
    # The folder that it runs in, seen from the profile's folder.
    build_in: str = ""
    # Whether it is built in a checkout that is given with `up --checkout`, and nowhere else.
    from_checkout: bool = False
    go: GoProgram | None = (
        # A Go program in `build_in`, which is built here and packed, in the place of `build`.
        None
    )
    # The same for a Python program.
    python: PythonProgram | None = None
    # A path in the checkout: the entry counts only where it is there.
    only_with: str = ""
    enabled: bool = True

    @model_validator(mode="after")
    def _has_a_source(self) -> "ProfileImage":
        if not (self.recipe or self.pull or self.archive or self.built_in_place):
            raise ValueError(
                f"{self.name} has no source: give it an archive or a recipe, or let it be pulled"
            )
        return self

    @property
    def built_in_place(self) -> bool:
        """Whether there is a way to build it from somebody's own source."""
        needs_folder = self.from_checkout or self.packed
        return bool((self.build or self.packed) and (self.build_in or not needs_folder))

    @property
    def packed(self) -> bool:
        """Whether it is a program that devenv itself packs into an image."""
        return bool(self.go or self.python)


class Target(Model):
    """Which objects a patch is for; an empty field fits all, and * in a name anything."""

    kind: str = ""
    namespace: str = ""
    name: str = ""


class Patch(Model):
    """What is changed in objects that are not ours: maps merged by key, lists by name; or such objects are left out."""

    name: str
    target: Target
    merge: Mapping[str, Any] = {}
    remove: bool = False
    enabled: bool = True

    @model_validator(mode="after")
    def _does_one_thing(self) -> "Patch":
        if bool(self.merge) == self.remove:
            raise ValueError(f"{self.name} does one thing: merge something, or remove: true")
        return self


class ManifestSource(Model):
    """Where manifests come from: a file or a folder of them, a kustomize folder, an address, or a recipe's file.

    A path is seen from the profile's folder, in devenv's own profiles from manifests/. Of what an address gives, the sum is
    recorded when it is first fetched, where none is given here. Of two sources with the same object, the later one counts.
    """

    name: str
    path: str = ""
    url: Address = ""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    # RECIPE/FILE.
    recipe: str = ""
    # A folder.
    kustomize: str = ""
    # whether the folder is in the checkout; it is left out if the checkout does not have it
    from_checkout: bool = False
    replaces: tuple[
        str, ...
        # Addresses in kustomize folders, in whose place its file is taken.
    ] = ()
    # Components that must be ready before it is applied.
    after: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()
    # A path in the checkout: the entry counts only where it is there.
    only_with: str = ""
    enabled: bool = True

    @model_validator(mode="after")
    def _one_source(self) -> "ManifestSource":
        if sum(map(bool, (self.path, self.url, self.recipe, self.kustomize))) != 1:
            raise ValueError(f"{self.name} needs one source: path, url, kustomize or recipe")
        if self.sha256 and not self.url:
            raise ValueError(f"{self.name}: a sha256 belongs to a url")
        if self.from_checkout and not self.kustomize:
            raise ValueError(f"{self.name}: from_checkout works only with a kustomize folder")
        if self.replaces and self.kustomize:
            raise ValueError(
                f"{self.name}: a folder replaces no address; set replaces: [] beside it"
            )
        return self

    @property
    def recipe_file(self) -> tuple[str, str]:
        """The recipe and its file."""
        recipe, _, file = self.recipe.partition("/")
        return recipe, file


class Resource(Model):
    """An object of the cluster, by name or by labels."""

    api_version: str = Field(alias="apiVersion")
    kind: str
    namespace: str = ""
    name: str = ""
    selector: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> "Resource":
        if bool(self.name) == bool(self.selector):
            raise ValueError("an object is found in one way: by name or by selector")
        return self

    def names(self, meta: Mapping[str, Any]) -> bool:
        """Whether an object of this kind, by its metadata, is the one: in its namespace, by name or by labels."""
        if self.namespace != meta.get("namespace", ""):
            return False
        labels = meta.get("labels") or {}
        required_labels = [pair.split("=", 1) for pair in self.selector.split(",") if "=" in pair]
        return bool(
            meta["name"] == self.name
            if self.name
            else required_labels and all(labels.get(k) == v for k, v in required_labels)
        )

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name or self.selector}"


class Component(Model):
    """Something that must be ready, what ready means for it, and what it comes after."""

    name: str
    gate: Literal[
        "workload", "conditions", "ancestors", "parents", "exists", "lease", "endpoints", "webhook"
    ]
    resource: Resource
    conditions: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    # Whether a controller of the cluster makes it, so that no manifest has it.
    made: bool = False
    # Of a workload whose pods elect a leader: how the name of their Lease ends.
    lease: str = ""
    # Seconds.
    deadline: Amount = Field(default=240, gt=0, le=3600)
    # A path in the checkout: the entry counts only where it is there.
    only_with: str = ""
    enabled: bool = True


class LiveRequest(Model):
    """A request that proves a route."""

    name: str = ""
    route: Route
    model: str
    strategy: str = "random"
    stream: bool = False
    # The HTTPRoute that it goes by; the model's own unless told.
    by: str = ""
    # Whether its model does not name its pod, so that Envoy's log alone tells which one answered.
    anonymous: bool = False
    # such as an API key: a text, or where it is: ${NAME} a variable, @FILE a file
    headers: Headers = Field(default_factory=dict)
    enabled: bool = True

    @property
    def http_route(self) -> str:
        """The name of the HTTPRoute that it goes by."""
        return self.by or f"{self.model}-router"


class Forward(Model):
    """A port of this machine's loopback that leads into the cluster while tests run."""

    port: int = Field(ge=1, le=65535)
    namespace: str = ""
    # The gateway where it is empty.
    service: str = ""
    # a port of the Service's pods; by default the same one
    target: int = Field(default=0, ge=0, le=65535)


class SourceTests(Model):
    """Tests in the profile's checkout: a package of Go tests that need a cluster."""

    # In the module, like ./test/e2e/.
    package: str
    # Of `go test`.
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    forwards: tuple[Forward, ...] = ()
    # Where they make objects.
    namespace: str = "default"


class Needs(Model):
    """What the engine must have for it."""

    cpus: Whole = Field(default=2, ge=0)
    memory: Size = 3 << 30
    # A node with its images takes about 2 GiB; the rest is for what one does with it.
    disk: Size = 4 << 30


class Budget(Model):
    """How much of one disk stays free, and how full it may get: sizes, or percent of the disk."""

    keep_free: Share = "5%"
    max_use: Share = "100%"
    headroom: Share = (
        # How far below that making room goes on, so that it is not begun again at once.
        "5%"
    )


class Budgets(Model):
    """The disks that devenv writes to: the host's own, the engine's, and what a node may take of the engine's."""

    host: Budget = Budget()
    engine: Budget = Budget()
    node: Budget = Budget()


class Profile(Model):
    """An environment."""

    name: Title
    description: str = ""
    # The profile at the bottom of all that it extends.
    base: str = ""
    # Of what it installs, where it has several.
    version: str = ""
    # A newer version than all that are known is treated like this one.
    like: str = ""
    # Of that version's images.
    tag: str = ""
    # whether what it installs reads a model's name from annotations too, and hashes names for routes
    model_annotations: bool = False
    # The Go module that a checkout of what it installs is.
    module: str = ""
    needs: Needs = Needs()
    budgets: Budgets = Budgets()
    # Whether a command that needs room may make it.
    auto_prune: AutoPrune = "ask"
    # Images by name, * stands for anything: never pruned.
    protect: tuple[str, ...] = ()
    # Hours: an image with a name that came since then is never pruned
    keep_newer: Amount = Field(default=24, ge=0, le=24 * 365)
    cluster: Cluster
    gateway: GatewayPorts
    images: tuple[ProfileImage, ...]
    manifests: tuple[ManifestSource, ...]
    # Of all manifests, after each source's own.
    patches: tuple[Patch, ...] = ()
    components: tuple[Component, ...]
    requests: tuple[LiveRequest, ...]
    ignore: tuple[
        Annotated[str, Field(pattern=r"^DE\d{3}$")], ...
        # Codes that `doctor` leaves out.
    ] = ()
    # What `devenv test-e2e` runs.
    tests: SourceTests | None = None
    # Entries that count only with a path that the checkout has not.
    left_out: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_exist(self) -> "Profile":
        problems: list[tuple[Place, str]] = [*self._unknown_names(), *self._doubles()]
        components = {c.name for c in self.components}
        problems += [
            (("components", c), "this name is taken by a step of devenv's own")
            for c in components & STEPS
        ]
        try:
            TopologicalSorter({c.name: c.after for c in self.components}).prepare()
        except CycleError as error:
            what = f"they wait for each other in a circle: {', '.join(error.args[1])}"
            problems.append((("components",), what))
        if not self.requests and self.base != FOUND:
            problems.append((("requests",), "at least one is needed: without it nothing is proven"))
        if self.base != FOUND:
            empty = [key for key in ("namespace", "name") if not getattr(self.gateway, key)]
            problems += [(("gateway", key), "it must not be empty") for key in empty]
        if problems:
            raise PlacedError(problems)
        return self

    def _unknown_names(self) -> list[tuple[Place, str]]:
        images, components = [i.name for i in self.images], [c.name for c in self.components]
        problems: list[tuple[Place, str]] = []
        if self.cluster.image not in images:
            what = _no_such("image", self.cluster.image, images)
            problems.append((("cluster", "image"), what))
        parts = (("components", self.components), ("manifests", self.manifests))
        for part, entries in parts:
            for entry in entries:
                unknown = [name for name in entry.after if name not in components]
                problems += [
                    ((part, entry.name, "after"), _no_such("component", name, components))
                    for name in unknown
                ]
        return problems

    def _doubles(self) -> list[tuple[Place, str]]:
        parts = (
            ("images", self.images),
            ("components", self.components),
            ("manifests", self.manifests),
        )
        problems: list[tuple[Place, str]] = []
        for part, entries in parts:
            counts = Counter(entry.name for entry in entries)
            doubles = [(name, count) for name, count in counts.items() if count > 1]
            problems += [((part, name), f"it appears {count} times") for name, count in doubles]
        return problems

    def headers_of(self, model: str) -> Headers:
        """Return the headers that the profile's requests to a model carry, such as its API key."""
        matches = [r.headers for r in self.requests if r.model == model and r.headers]
        return matches[0] if matches else {}

    def after(self, name: str) -> set[str]:
        """Return the names of the components that come after this one, directly or not."""
        dependents = {c.name for c in self.components if name in c.after}
        return dependents.union(*(self.after(n) for n in dependents)) if dependents else dependents

    @property
    def cluster_images(self) -> tuple[ProfileImage, ...]:
        """The images that go into the nodes."""
        return tuple(i for i in self.images if i.name != self.cluster.image)


def _no_such(kind: str, name: str, names: Iterable[str]) -> str:
    return f"no {kind} is called {name}{near_it(name, names)}"
