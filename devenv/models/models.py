"""The way in: what the `model` commands do with the models of one cluster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from devenv.facts.live import Proof
from devenv.gates.live import Prober
from devenv.models.add import Addition
from devenv.models.check import AdditionCheck
from devenv.models.listing import ModelList
from devenv.models.lookup import Lookup
from devenv.models.model import ListedModel, NewModel
from devenv.models.remove import Removal
from devenv.models.requests import ModelRequests
from devenv.ports.kube import Manifest
from devenv.profiles.headers import Headers
from devenv.session import Session


@dataclass(frozen=True)
class Models:
    """The models of one cluster."""

    session: Session
    # Made only once a request is to be sent.
    prober: Callable[[], Prober]
    # Sent with each request, such as an API key. If empty, the profile's headers are sent.
    headers: Headers = field(default_factory=dict)

    def check(self, model: NewModel) -> None:
        """Raise DevenvError with everything that keeps the model from being added."""
        AdditionCheck(self._lookup, self.requests).run(model)

    def add(self, model: NewModel) -> list[Proof]:
        """Add a model, and return once every route is proven.

        Raises DevenvError with what is missing.
        """
        addition = Addition(
            self.session.cluster,
            self._lookup,
            self.requests,
            self.session.clock,
            self.session.reporter,
            self.prober,
        )
        return addition.run(model)

    def list_all(self) -> list[ListedModel]:
        """Return every model that any part of AIBrix knows."""
        return ModelList(self._lookup, self.requests, self.prober).run()

    def objects(self, name: str) -> list[Manifest]:
        """Return what `remove` would remove. Raises DevenvError if devenv did not add the model."""
        return self._removal.objects(name)

    def remove(self, name: str, objects: Sequence[Manifest]) -> None:
        """Remove the objects, and return once the model's route is gone, too."""
        self._removal.run(name, objects)

    @property
    def requests(self) -> ModelRequests:
        """Makes the live requests to a model."""
        return ModelRequests(self._lookup, self.headers)

    @property
    def _lookup(self) -> Lookup:
        return Lookup(self.session.profile, self.session.kube)

    @property
    def _removal(self) -> Removal:
        return Removal(self._lookup, self.session.clock, self.session.reporter)
