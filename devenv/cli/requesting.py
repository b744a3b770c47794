"""What `request` does: it sends one request, or keeps sending; then it asks doctor if some fail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devenv import wiring
from devenv.base.errors import Exit
from devenv.gates.hints import Hints, is_unknown_strategy
from devenv.gates.single import Question, requests_by_all_routes, single_request
from devenv.profiles.model import Profile, Route
from devenv.ui import console
from devenv.ui import diagnosis as diagnoses
from devenv.ui import requests as reports
from devenv.ui.life import sign_of_life
from devenv.ui.render import Report, render

if TYPE_CHECKING:
    from devenv.diagnosis.model import Diagnosis
    from devenv.facts.live import Proof

# Seconds for a diagnosis.
_LOOK = 10.0


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    cluster: str
    profile: str | None
    question: Question
    # Seconds for one request.
    timeout: float
    # "text" or "json".
    output: str
    # Whether a failure is followed by a diagnosis.
    diagnoses: bool = True


def ask_once(asked: Asked, route: str, *, is_raw: bool) -> int:
    """Send one request, and print its answer and its proof."""
    with wiring.world() as world:
        profile = world.profile_of(asked.cluster, asked.profile)
        kube = world.own(asked.cluster)
        live = single_request(profile, Route(route), asked.question)
        prober = world.prober(asked.cluster, profile)
        proof = prober.probe([live], asked.timeout, prompt=asked.question.prompt)[0]
        hints = Hints(kube, profile).of(live, proof.answer)

        def report(diagnosis: "Diagnosis | None") -> Report:
            answered = reports.Answered(proof, hints, diagnosis)
            return reports.request(answered, profile.gateway.url, is_raw=is_raw)

        if is_raw:
            reports.print_body(proof)
            console.divert_results()
        diagnose = _diagnoser(world, asked.cluster, profile)
        asks_for_doctor = asked.diagnoses and _asks_for_doctor(proof)
        _conclude(report, diagnose if asks_for_doctor else None, asked.output)
    return Exit.OK if proof.ok else Exit.FAILED


def _asks_for_doctor(proof: "Proof") -> bool:
    """Whether the cause of a failure may be in the cluster."""
    return not (proof.ok or proof.lasting or is_unknown_strategy(proof.answer))


def keep_asking(asked: Asked, route: str | None, concurrency: int, seconds: int) -> int:
    """Keep sending requests by one route, or by all if it is None; print what became of them."""
    with wiring.world() as world:
        profile = world.profile_of(asked.cluster, asked.profile)
        world.own(asked.cluster)
        if route:
            requests = [single_request(profile, Route(route), asked.question)]
        else:
            requests = requests_by_all_routes(profile, asked.question)
        series = world.series(asked.cluster, profile)
        result = series.run(requests, concurrency, seconds, asked.timeout, asked.question.prompt)
        world.reporter.close()
        fails_to_the_end = result.is_failing and not result.is_interrupted
        asks_for_doctor = asked.diagnoses and fails_to_the_end
        diagnose = _diagnoser(world, asked.cluster, profile)
        _conclude(
            lambda diagnosis: reports.series(result, diagnosis),
            diagnose if asks_for_doctor else None,
            asked.output,
        )
    if result.is_interrupted:
        return Exit.INTERRUPTED
    return Exit.OK if result.ok else Exit.FAILED


def _diagnoser(world: wiring.World, cluster: str, profile: Profile) -> "Callable[[], Diagnosis]":
    """Return a function that says what doctor would say now."""

    def diagnose() -> "Diagnosis":
        with sign_of_life("Looking at the cluster"):
            from devenv.diagnosis.diagnose import diagnose as diagnosis_of

            return diagnosis_of(world.facts(cluster, profile, _LOOK))

    return diagnose


def _conclude(
    report: "Callable[[Diagnosis | None], Report]",
    diagnose: "Callable[[], Diagnosis] | None",
    output: str,
) -> None:
    """Print a result, and what doctor says. As text, the result comes first: doctor takes time."""
    if output == "json":
        render(report(diagnose() if diagnose else None), output)
        return
    render(report(None), output)
    if diagnose:
        verdict = diagnoses.diagnosis(diagnose(), everything=False)
        console.result().print()
        render(verdict, output)
