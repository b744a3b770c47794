"""The images of `up`: where each comes from, and what the nodes hold of them already."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

from devenv import name_flag
from devenv.base.errors import DevenvError, Exit
from devenv.base.image_names import DigestsByName, normalise
from devenv.base.wait import Deadline, until
from devenv.images.nodes.containerd import Nodes, by_name
from devenv.images.nodes.image_import import image_names
from devenv.images.sources.provider import HeldImage, Provider, Source
from devenv.images.sources.stamp import own_ref
from devenv.install.context import Context, node_ids, running_nodes
from devenv.ports.containers import Node
from devenv.profiles.model import Profile, ProfileImage
from devenv.state.own_builds import OwnBuilds
from devenv.state.proven import current_digest, is_proven
from devenv.state.record import Record

# Name of an image in the profile → where the image comes from.
SourcesByName: TypeAlias = dict[str, Source]
# Seconds for the containerd of a node that has just started.
_CONTAINERD_SECONDS = 60.0


@dataclass(frozen=True)
class ImageSources:
    """Finds and provides the images of one cluster's profile."""

    context: Context
    provider: Provider

    @property
    def _profile(self) -> Profile:
        return self.context.profile

    @property
    def own_builds(self) -> OwnBuilds:
        """The images that devenv built from a checkout for this cluster."""
        context = self.context
        return OwnBuilds(context.cluster, context.records, context.engine)

    def note_built_images(self) -> None:
        """Record what was built in the checkout. A cluster that is yet to be made has no record."""
        if self.provider.in_place:
            self.own_builds.note(self.provider.in_place.built_images)

    def provide(self) -> SourcesByName:
        """Get all images and recipes' files, and return the images' sources by name."""
        profile = self._profile
        files = profile.recipe_files
        if self.context.kind.version() is None:
            files.append(("kind", "kind"))
        own_images = self._proven_own_images()
        held_images = cache(self._held_images)
        sources = self.provider.provide(profile.images, files, own_images, held_images)
        self.note_built_images()
        self._check_architectures(sources)
        return sources

    def sources_without_work(self) -> SourcesByName | None:
        """Return the images' sources, None if an image had to be built or fetched."""
        profile = self._profile
        own_images = self._proven_own_images()
        other_images = [image for image in profile.images if image.name not in own_images]
        held_images = cache(self._held_images)
        if not self.provider.ready(other_images, held_images):
            return None
        return self.provider.provide(profile.images, in_nodes=own_images, held_images=held_images)

    def image_id(self, source: Source) -> str:
        """Return the image's ID in the engine, also for an image that only nodes still have."""
        if source.how != "node":
            return self.context.image(source).id
        record = self.context.record
        name = normalise(source.image.ref)
        if record is None:
            return ""
        for images in record.loaded.values():
            if name in images:
                return images[name]
        return ""

    def _proven_own_images(self) -> set[str]:
        """Return the profile's names of a checkout's images that run and were proven.

        They stay, even if the checkout has changed or the engine has other images under their
        names: only a reload replaces them.
        """
        context = self.context
        record = self.context.record
        nodes = context.nodes()
        if record is None or not nodes:
            return set()
        self._await_containerd()
        names_by_node = [
            image_names(context.containers, node.name) for node in running_nodes(nodes)
        ]
        ids = node_ids(nodes)
        proven_images = set()
        for image in filter(own_ref, context.profile.cluster_images):
            name = normalise(image.ref)
            is_present = all(name in names for names in names_by_node)
            if is_present and is_proven(record, ids, name):
                proven_images.add(image.name)
        return proven_images

    def _await_containerd(self) -> None:
        """Wait until the containerd of every running node answers.

        After a restart of the engine a node runs for some seconds without it.
        """
        context = self.context

        def find_silent_node() -> str:
            for node in running_nodes(context.nodes()):
                answer = context.containers.exec(node.name, ["crictl", "images", "--quiet"])
                if answer.failed:
                    return f"an answer from {node.name}"
            return ""

        deadline = Deadline(context.clock, _CONTAINERD_SECONDS)
        until("The node's containerd", find_silent_node, deadline)

    def _held_images(self) -> dict[str, HeldImage]:
        """Return the images that every node holds just as devenv loaded them.

        For a node that does not run, the record says what it holds.
        """
        context = self.context
        record = self.context.record
        nodes = context.nodes()
        if record is None or not record.made or not nodes:
            return {}
        digests_by_node = self._digests_in_running_nodes(nodes)
        ids = node_ids(nodes)
        held_images = {context.profile.cluster.image: HeldImage(is_any=True)}
        for image in context.profile.cluster_images:
            name = normalise(image.ref)
            image_id = record.engine_id_in_all(ids, name)
            if image_id and _is_intact(record, digests_by_node, name):
                ref = record.refs.get(name, "")
                held_images[image.name] = HeldImage(ref, image_id)
        return held_images

    def _digests_in_running_nodes(self, nodes: Sequence[Node]) -> dict[str, DigestsByName]:
        """Return by node ID, then by image name, the digests of image configs."""
        containerds = Nodes(self.context.containers)
        digests_by_node = {}
        for node in running_nodes(nodes):
            names_by_digest = containerds.images(node.name)
            digests_by_node[node.id] = by_name(names_by_digest)
        return digests_by_node

    def report_outdated_images(self) -> None:
        """Say which images were built from another state of the checkout than it has now."""
        record = self.context.record
        if record is None:
            return
        for image in self._profile.cluster_images:
            built_state = record.built.get(normalise(image.ref), "")
            if built_state and own_ref(image) and Path(image.build_in).exists():
                self._report_if_outdated(image, built_state)

    def _report_if_outdated(self, image: ProfileImage, built_state: str) -> None:
        """Say so if the checkout has another state than the image was built from."""
        state = self.provider.state(image.build_in).state
        if built_state != state:
            command = f"devenv reload-image {image.name} --build{name_flag(self.context.cluster)}"
            self.context.reporter.say(
                f"{image.name} runs {built_state}; the checkout is at {state}."
                f" Rebuild it: `{command}`"
            )

    def _check_architectures(self, sources: SourcesByName) -> None:
        """Refuse images that the nodes could not run.

        containerd would take them without a word (docs/facts/images.md).
        """
        engine_architecture = self.context.engine.info().architecture
        # Two images may have the same ref.
        problems: dict[str, str] = {}
        for source in sources.values():
            if source.how == "node":
                continue
            architecture = self.context.image(source).architecture
            if architecture != engine_architecture:
                problems[source.ref] = f"{source.ref} is for {architecture}"
        if problems:
            raise DevenvError(
                f"Images are not for this engine, which runs {engine_architecture}.",
                "\n".join(problems.values()),
                f"Get them for {engine_architecture}, for example with"
                f" `docker pull --platform linux/{engine_architecture}`.",
                Exit.PREREQUISITE,
            )


def _is_intact(record: Record, digests_by_node: dict[str, DigestsByName], name: str) -> bool:
    """Whether running nodes have the very images under the name that the record says."""
    return all(
        digests.get(name) == current_digest(record, node_id, name)
        for node_id, digests in digests_by_node.items()
    )
