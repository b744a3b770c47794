"""A profile: one YAML file that says everything about an environment."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from devenv.base.json_types import JsonMap
from devenv.base.userfiles import near_it
from devenv.ports.names import Names
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
    is_list_of,
)
from devenv.profiles.headers import Headers
from devenv.profiles.wording import PlacedError, Problem

# The base of a profile that was made from a cluster that devenv did not make.
FOUND = "found"
# Of a node, as kind knows them.
_ROLES = ("control-plane", "worker")
# The name of a recipe, and that of a file that it makes.
RecipeFile = tuple[str, str]
# Steps of `up`: components, which are steps too, can't have these names.
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
    """How the cluster is created."""

    # The name of an entry of `images`.
    image: str
    kind: JsonMap

    @model_validator(mode="after")
    def _nodes(self) -> "Cluster":
        """Check kind's own list of nodes, as far as devenv depends on it."""
        nodes = self.kind.get("nodes")
        if nodes is None:
            return self
        if not is_list_of(nodes, Mapping):
            raise ValueError("kind.nodes must be a list of nodes")
        roles = [node.get("role", "control-plane") for node in nodes]
        if problems := _role_problems(roles):
            raise PlacedError(problems)
        return self


def _role_problems(roles: Sequence[Any]) -> list[Problem]:
    """Return what is wrong with the roles of kind's nodes."""
    problems: list[Problem] = []
    for number, role in enumerate(roles):
        if role not in _ROLES:
            problems.append((("kind", "nodes", number), f"kind has no role {role!r}"))
    if not problems and roles and "control-plane" not in roles:
        problems.append((("kind", "nodes"), "one node must have the role control-plane"))
    return problems


class GatewayPorts(Model):
    """The Gateway and its ports, which give the port mapping, the NodePort and the URL."""

    namespace: ObjectName
    name: ObjectName
    host_port: Whole = Field(ge=1, le=65535)
    node_port: Whole = Field(ge=30000, le=32767)

    @property
    def url(self) -> str:
        """The address for clients on the host."""
        return f"http://localhost:{self.host_port}"


class GoProgram(Model):
    """A Go program that devenv packs into an image with nothing else in it, run without root."""

    # In the module, like ./cmd/plugins.
    package: str
    # The program's path in the image, like /gateway-plugins.
    entrypoint: str
    # distroless' nonroot.
    user: str = "65532:65532"
    tags: Names = ()
    # The newest Go that can compile the source, of those in images/toolchain.yaml.
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
    # Patterns of the files that are copied into the image's /app.
    files: Names
    # A file of the folder that names packages.
    requirements: str = ""
    # Further packages.
    packages: Names = ()
    # A poetry.lock of the folder, which decides the versions.
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
    # A file that `docker save` wrote, seen from the profile's folder; it comes before the rest.
    archive: str = ""
    recipe: str = ""
    pull: bool = True
    # The command that builds it in the engine, for `reload-image --build`.
    build: tuple[Argument, ...] = ()
    # The folder in which that command runs, seen from the profile's folder.
    build_in: str = ""
    # Whether it is built only in a checkout that is given with `up --checkout`.
    from_checkout: bool = False
    # A Go program in `build_in` that devenv builds and packs, in the place of `build`.
    go: GoProgram | None = None
    # The same for a Python program.
    python: PythonProgram | None = None
    # A path in the checkout: without it, the entry does not count.
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
        """Whether it can be built from the user's source code."""
        needs_folder = self.from_checkout or self.packed
        return bool((self.build or self.packed) and (self.build_in or not needs_folder))

    @property
    def packed(self) -> bool:
        """Whether it is a program that devenv itself packs into an image."""
        return bool(self.go or self.python)


class Target(Model):
    """The objects that a patch is for. An empty field fits all, and * in a name anything."""

    kind: str = ""
    namespace: str = ""
    name: str = ""


class Patch(Model):
    """A change to objects that are not devenv's own: something is merged in, or they are left out.

    Maps merge by key, lists by name.
    """

    name: str
    target: Target
    merge: Mapping[str, Any] = {}
    remove: bool = False
    enabled: bool = True

    @model_validator(mode="after")
    def _does_one_thing(self) -> "Patch":
        if bool(self.merge) == self.remove:
            raise ValueError(f"{self.name} must do one thing: merge something, or remove: true")
        return self


class ManifestSource(Model):
    """A file or folder of manifests, a kustomize folder, an address, or a recipe's file.

    A path is seen from the profile's folder, in devenv's own profiles from manifests/. If an
    address has no checksum here, that of the first download is recorded. Of two sources with the
    same object, the later one counts.
    """

    name: str
    path: str = ""
    url: Address = ""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    # RECIPE/FILE.
    recipe: str = ""
    # A folder.
    kustomize: str = ""
    # Whether the folder is in the checkout; it is left out if the checkout does not have it.
    from_checkout: bool = False
    # Addresses in kustomize folders that its file replaces.
    replaces: tuple[str, ...] = ()
    # Components that must be ready before it is applied.
    after: Names = ()
    patches: tuple[Patch, ...] = ()
    # A path in the checkout: without it, the entry does not count.
    only_with: str = ""
    enabled: bool = True

    @model_validator(mode="after")
    def _one_source(self) -> "ManifestSource":
        """Check that an entry says once where its manifests come from."""
        sources = list(filter(None, (self.path, self.url, self.recipe, self.kustomize)))
        if len(sources) != 1:
            raise ValueError(f"{self.name} needs one source: path, url, kustomize or recipe")
        if self.sha256 and not self.url:
            raise ValueError(f"{self.name}: a sha256 belongs to a url")
        if self.from_checkout and not self.kustomize:
            raise ValueError(f"{self.name}: from_checkout works only with a kustomize folder")
        if self.replaces and self.kustomize:
            raise ValueError(
                f"{self.name}: a folder can't replace an address; set replaces: [] beside it"
            )
        return self

    @property
    def recipe_file(self) -> RecipeFile:
        """The name of the recipe, and that of its file."""
        recipe, _, file = self.recipe.partition("/")
        return recipe, file


class Resource(Model):
    """An object of the cluster, found by name or by labels."""

    api_version: str = Field(alias="apiVersion")
    kind: str
    namespace: str = ""
    name: str = ""
    selector: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> "Resource":
        if bool(self.name) == bool(self.selector):
            raise ValueError("it needs either a name or a selector")
        return self

    def names(self, meta: JsonMap) -> bool:
        """Whether this means an object of its kind. `meta`: the object's metadata."""
        if self.namespace != meta.get("namespace", ""):
            return False
        if self.name:
            return bool(meta["name"] == self.name)
        labels = meta.get("labels") or {}
        parts = [part for part in self.selector.split(",") if "=" in part]
        if not parts:
            return False
        for part in parts:
            key, _, value = part.partition("=")
            if labels.get(key) != value:
                return False
        return True

    def __str__(self) -> str:
        name = self.name or self.selector
        if self.namespace:
            return f"{self.kind} {self.namespace}/{name}"
        return f"{self.kind} {name}"


class Component(Model):
    """Something that must be ready, with its gate and the components that it comes after."""

    name: str
    gate: Literal[
        "workload", "conditions", "ancestors", "parents", "exists", "lease", "endpoints", "webhook"
    ]
    resource: Resource
    conditions: tuple[str, ...] = ()
    after: Names = ()
    # Whether a controller in the cluster creates it, so that no manifest has it.
    made: bool = False
    # Of a workload whose pods elect a leader: how the name of their Lease ends.
    lease: str = ""
    # Seconds.
    deadline: Amount = Field(default=240, gt=0, le=3600)
    # A path in the checkout: without it, the entry does not count.
    only_with: str = ""
    enabled: bool = True


class LiveRequest(Model):
    """A request that proves a route."""

    name: str = ""
    route: Route
    model: str
    strategy: str = "random"
    stream: bool = False
    # The HTTPRoute that it must take; if empty, the model's own.
    by: str = ""
    # Whether the model does not name its pod, so that only Envoy's log tells which pod answered.
    anonymous: bool = False
    # Such as an API key: a text, a variable as ${NAME}, or a file as @FILE.
    headers: Headers = Field(default_factory=dict)
    enabled: bool = True

    @property
    def http_route(self) -> str:
        """The name of the HTTPRoute that it must take."""
        return self.by or f"{self.model}-router"


class Forward(Model):
    """A port of the host's loopback that leads into the cluster while tests run."""

    port: int = Field(ge=1, le=65535)
    namespace: str = ""
    # If empty, the port leads to the gateway.
    service: str = ""
    # A port of the Service's pods; 0 for the same one.
    target: int = Field(default=0, ge=0, le=65535)


class SourceTests(Model):
    """A package of Go tests in the profile's checkout that need a cluster."""

    # In the module, like ./test/e2e/.
    package: str
    # Of `go test`.
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    forwards: tuple[Forward, ...] = ()
    # The namespace in which they create objects.
    namespace: str = "default"


class Needs(Model):
    """What the engine must have for the environment."""

    cpus: Whole = Field(default=2, ge=0)
    memory: Size = 3 << 30
    # A node with its images takes about 2 GiB; the rest is for working with it.
    disk: Size = 4 << 30


class Budget(Model):
    """How much of one disk stays free, and how full it may get: sizes, or percent of the disk."""

    keep_free: Share = "5%"
    max_use: Share = "100%"
    # How far below the limit pruning goes on, so that it does not start again at once.
    headroom: Share = "5%"


class Budgets(Model):
    """The disks that devenv writes to: the host's, the engine's, and a node's share of that."""

    host: Budget = Budget()
    engine: Budget = Budget()
    node: Budget = Budget()


class Profile(Model):
    """An environment."""

    name: Title
    description: str = ""
    # The name of the profile that extends none, at the end of what this one extends.
    base: str = ""
    # Of what it installs, if it has several.
    version: str = ""
    # If the version is newer than all that the profile has: the one that it is treated like.
    like: str = ""
    # Of that version's images.
    tag: str = ""
    # Whether what it installs reads a model's name from annotations too, and hashes routes' names.
    model_annotations: bool = False
    # The routing strategies that gateway-plugins has; empty if they are not known.
    strategies: tuple[str, ...] = ()
    # The Go module of a checkout.
    module: str = ""
    needs: Needs = Needs()
    budgets: Budgets = Budgets()
    # Whether a command that needs space may prune.
    auto_prune: AutoPrune = "ask"
    # Names of images that are never pruned; * stands for anything.
    protect: tuple[str, ...] = ()
    # Hours: an image with a name is never pruned before that age.
    keep_newer: Amount = Field(default=24, ge=0, le=24 * 365)
    cluster: Cluster
    gateway: GatewayPorts
    images: tuple[ProfileImage, ...]
    manifests: tuple[ManifestSource, ...]
    # Of all manifests, after each source's own.
    patches: tuple[Patch, ...] = ()
    components: tuple[Component, ...]
    requests: tuple[LiveRequest, ...]
    # Codes that `doctor` leaves out, CODE, or with one of Kubernetes' reasons, CODE:REASON.
    ignore: tuple[Annotated[str, Field(pattern=r"^DE\d{3}(:[A-Za-z][A-Za-z0-9]*)?$")], ...] = ()
    # What `devenv test-e2e` runs.
    tests: SourceTests | None = None
    # Entries that need a path which the checkout lacks. devenv itself notes them.
    left_out: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> "Profile":
        """Raise all problems of the profile's parts with each other at once."""
        problems = [
            *self._unknown_name_problems(),
            *self._duplicate_problems(),
            *self._component_problems(),
            *self._proof_problems(),
        ]
        if problems:
            raise PlacedError(problems)
        return self

    def _component_problems(self) -> list[Problem]:
        """Return wrong names of components, and circles among them."""
        problems: list[Problem] = []
        predecessors = {component.name: component.after for component in self.components}
        for name in predecessors.keys() & STEPS:
            problem = "this name is taken by a step of devenv's own"
            problems.append((("components", name), problem))
        try:
            TopologicalSorter(predecessors).prepare()
        except CycleError as error:
            circle = ", ".join(error.args[1])
            problem = f"they wait for each other in a circle: {circle}"
            problems.append((("components",), problem))
        return problems

    def _proof_problems(self) -> list[Problem]:
        """Return what is missing for live requests, which a foreign cluster's profile may lack."""
        if self.base == FOUND:
            return []
        problems: list[Problem] = []
        if not self.requests:
            problem = "at least one is needed: without it nothing is proven"
            problems.append((("requests",), problem))
        if not self.gateway.namespace:
            problems.append((("gateway", "namespace"), "it must not be empty"))
        if not self.gateway.name:
            problems.append((("gateway", "name"), "it must not be empty"))
        return problems

    def _unknown_name_problems(self) -> list[Problem]:
        """Return the names that the profile uses, but does not define."""
        images = _names(self.images)
        problems: list[Problem] = []
        if self.cluster.image not in images:
            problem = _no_such("image", self.cluster.image, images)
            problems.append((("cluster", "image"), problem))
        components = _names(self.components)
        for part in ("components", "manifests"):
            for entry in getattr(self, part):
                for name in entry.after:
                    if name not in components:
                        problem = _no_such("component", name, components)
                        problems.append(((part, entry.name, "after"), problem))
        return problems

    def _duplicate_problems(self) -> list[Problem]:
        """Return the names that a list has more than once."""
        problems: list[Problem] = []
        for part in ("images", "components", "manifests"):
            counts = Counter(_names(getattr(self, part)))
            for name, count in counts.items():
                if count > 1:
                    problems.append(((part, name), f"it appears {count} times"))
        return problems

    def headers_to(self, model: str, given: Headers) -> Headers:
        """Return the headers for a request to a model: those given, such as with --header.

        Without any, those that the profile's requests to the model carry, such as its API key.
        """
        if given:
            return given
        for request in self.requests:
            if request.model == model and request.headers:
                return request.headers
        return {}

    def after(self, name: str) -> set[str]:
        """Return the names of the components that come after this one, directly or not."""
        dependents = {component.name for component in self.components if name in component.after}
        return dependents.union(*map(self.after, dependents))

    @property
    def workloads(self) -> list[Component]:
        """The components that are workloads."""
        return [component for component in self.components if component.gate == "workload"]

    @property
    def has_route_controller(self) -> bool:
        """Whether AIBrix's controller is installed, which creates models' HTTPRoutes."""
        created_kinds = {c.resource.kind for c in self.components if c.made}
        return "HTTPRoute" in created_kinds

    @property
    def recipe_files(self) -> list[RecipeFile]:
        """The recipes' files that its manifests need, each with its recipe's name."""
        return [source.recipe_file for source in self.manifests if source.recipe]

    @property
    def cluster_images(self) -> tuple[ProfileImage, ...]:
        """The images that go into the nodes."""
        return tuple(image for image in self.images if image.name != self.cluster.image)


def _names(entries: Iterable[ProfileImage | ManifestSource | Component]) -> list[str]:
    return [entry.name for entry in entries]


def _no_such(kind: str, name: str, names: Iterable[str]) -> str:
    return f"no {kind} is called {name}{near_it(name, names)}"
