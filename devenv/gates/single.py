"""A request as a user asks for it with `devenv request`."""

from dataclasses import dataclass, field

from devenv.base.errors import DevenvError, Exit
from devenv.gates.headers import check
from devenv.profiles.headers import Headers
from devenv.profiles.model import LiveRequest, Profile, Route


@dataclass(frozen=True)
class Question:
    """What a user asks of a model."""

    # If empty, the profile's first model is asked.
    model: str = ""
    strategy: str = "random"
    # If empty, those of the profile's requests to the model are sent.
    headers: Headers = field(default_factory=dict)
    stream: bool = False
    # If empty, the model is asked devenv's own question.
    prompt: str = ""


def single_request(profile: Profile, route: Route, question: Question) -> LiveRequest:
    """Return the request that asks the question by a route.

    Raises DevenvError if the profile has no such route, or a header can't be sent.
    """
    if route is Route.MODELS:
        live = _models_request(profile, question.headers)
    else:
        model_name = question.model or profile.requests[0].model
        live = LiveRequest(
            name=route.value,
            route=route,
            model=model_name,
            strategy=question.strategy,
            stream=question.stream,
            anonymous=True,
            headers=profile.headers_to(model_name, question.headers),
        )
    check([live])
    return live


def requests_by_all_routes(profile: Profile, question: Question) -> list[LiveRequest]:
    """Return a request by each route of the profile's own requests, in the profile's order.

    Raises what `single_request` does.
    """
    routes = dict.fromkeys(live.route for live in profile.requests)
    return [single_request(profile, route, question) for route in routes]


def _models_request(profile: Profile, headers: Headers) -> LiveRequest:
    """Return the profile's request for the list of models. Raises DevenvError if it has none."""
    for live in profile.requests:
        if live.route is Route.MODELS:
            return live.model_copy(update={"headers": headers or live.headers})
    raise DevenvError(
        what=f"The profile {profile.name} has no request for the list of models.",
        next_step=(
            "AIBrix's metadata service answers it: "
            "create the cluster with `devenv up --with metadata-service`."
        ),
        exit_code=Exit.USAGE,
    )
