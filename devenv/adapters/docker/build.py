"""Building images from a Dockerfile."""

import os
from collections.abc import Mapping
from pathlib import Path

from devenv.adapters.docker.client import EngineConnection
from devenv.adapters.docker.errors import engine_errors
from devenv.base.errors import DevenvError
from devenv.base.network import build_arguments, is_on_loopback
from devenv.ports.engine import Labels
from devenv.ports.processes import OnLine


class BuildCalls(EngineConnection):
    """The call that builds an image."""

    def build(
        self,
        context: Path,
        tag: str,
        args: Mapping[str, str],
        labels: Labels,
        log: OnLine,
    ) -> None:
        """Build from a context that is a tar archive, through the user's network proxies.

        Proxies in Docker's config file come first. A build container can't reach a proxy on the
        host's loopback, unless it has the host's network.
        """
        proxies = self._proxy_arguments()
        network_mode = None
        if is_on_loopback(proxies) and self.info().local:
            network_mode = "host"
        with engine_errors(), context.open("rb") as file:
            events = self._slow_api.build(
                fileobj=file,
                custom_context=True,
                tag=tag,
                buildargs={**proxies, **args},
                labels=dict(labels),
                rm=True,
                forcerm=True,
                decode=True,
                network_mode=network_mode,
            )
            for event in events:
                if text := event.get("stream") or event.get("error"):
                    log(text.rstrip())
                if "error" in event:
                    raise DevenvError(f"{tag} could not be built.", event["error"])

    def _proxy_arguments(self) -> dict[str, str]:
        """Return the environment's proxies; none if Docker's config file has some for builds."""
        if self._slow_api._proxy_configs.get_environment():  # noqa: SLF001
            return {}
        return build_arguments(os.environ)
