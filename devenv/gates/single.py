"""A request as a user asks for it with `devenv request`."""

from devenv.base.errors import DevenvError, Exit
from devenv.gates.headers import check
from devenv.profiles.headers import Headers
from devenv.profiles.model import LiveRequest, Profile, Route


def single_request(
    profile: Profile,
    route: Route,
    model: str | None,
    strategy: str,
    headers: Headers,
    *,
    stream: bool,
) -> LiveRequest:
    """Return the request; without `headers`, with those of the profile's requests to the model.

    Raises DevenvError if the profile has no such route, or a header can't be sent.
    """
    if route is Route.MODELS:
        live = _models_request(profile, headers)
    else:
        model_name = model or profile.requests[0].model
        live = LiveRequest(
            name=route.value,
            route=route,
            model=model_name,
            strategy=strategy,
            stream=stream,
            anonymous=True,
            headers=profile.headers_to(model_name, headers),
        )
    check([live])
    return live


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
