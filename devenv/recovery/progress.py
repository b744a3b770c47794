"""The steps that a user sees while a plan runs, and their names."""

from collections.abc import Callable, Mapping

from devenv.cluster.node_repair import CONTROL_PLANE, NETWORK, manifest_step, unit_step
from devenv.gates.proving import REQUESTS
from devenv.install.settled import ROLLOUTS
from devenv.ports.names import Names
from devenv.recovery.plan import Kind, Plan
from devenv.restart import restart_step
from devenv.up import PUT_BACK_STEPS, RENEWAL

CONTEXT = "write the context again"
DIAGNOSIS = "diagnose again"
# Of CoreDNS: kind's own choice.
REPLICAS = 2


def start_step(node: str) -> str:
    """Return the name of the step in which a node is started."""
    return f"start {node}"


def release_step(target: str) -> str:
    """Return the name of the step in which an object's finalizers are removed."""
    return f"release {target}"


def scale_step(target: str) -> str:
    """Return the name of the step in which a Deployment gets its pods back."""
    return f"scale {target} to {REPLICAS}"


# By kind of a repair: from its target to the names of its steps.
_NAMES: Mapping[Kind, Callable[[str], Names]] = {
    Kind.NETWORK: lambda _: (NETWORK,),
    Kind.START: lambda node: (start_step(node),),
    Kind.UNIT: lambda target: (unit_step(*target.split("/")),),
    Kind.STATIC_POD: lambda target: (manifest_step(*target.split("/")),),
    Kind.CONTEXT: lambda _: (CONTEXT,),
    Kind.RELEASE: lambda target: (release_step(target),),
    Kind.PUT_BACK: lambda _: PUT_BACK_STEPS,
    Kind.CERTIFY: lambda _: (RENEWAL,),
    Kind.SCALE: lambda target: (scale_step(target),),
    Kind.RESTART: lambda component: (restart_step(component),),
}


def step_names(plan: Plan) -> Names:
    """Return the steps of a plan, to the live requests.

    Those that make room, and those of a return to an older image, are known only when they begin.
    """
    names: list[str] = []
    for repair in plan.steps:
        if name_steps := _NAMES.get(repair.kind):
            names += name_steps(repair.target)
    kinds = {repair.kind for repair in plan.steps}
    if kinds & {Kind.UNIT, Kind.STATIC_POD}:
        names.append(CONTROL_PLANE)
    return (*names, ROLLOUTS, DIAGNOSIS, REQUESTS)
