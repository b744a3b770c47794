"""Results of each command, for the snapshots of what it prints. Names and figures are made up."""

import json
from datetime import UTC, datetime
from pathlib import Path

from devenv.base.errors import DevenvError
from devenv.cluster.down import Removal
from devenv.diagnosis import codes
from devenv.diagnosis.changes import NOT_SHOWN, Change
from devenv.diagnosis.compare import compare
from devenv.diagnosis.model import Diagnosis
from devenv.disk.accounts import Share
from devenv.disk.budget import Marks
from devenv.disk.plan import ENGINE
from devenv.disk.prune import Outcome, RemovalResult
from devenv.disk.prune import Proposal as SpaceProposal
from devenv.disk.schedule import Job
from devenv.disk.survey import Disk, Ledger, Survey
from devenv.images.recipes.build_plan import BuildPlan
from devenv.images.recipes.listing import Entry
from devenv.models.model import ListedModel, NewModel, PodCount
from devenv.ports.containers import Node
from devenv.ports.host import Space
from devenv.profiles.model import Budget
from devenv.recovery.drift import Drift
from devenv.recovery.plan import Kind, Plan, RepairStep
from devenv.recovery.proposal import Proposal
from devenv.recovery.recover import Recovery
from devenv.recovery.scheduled import Report as ScheduledReport
from devenv.reload.load import Moved
from devenv.reload.plan import Plan as ReloadPlan
from devenv.reload.reload import Result as ReloadResult
from devenv.reload.rollout import Renewed
from devenv.ui import (
    bugreport,
    builds,
    catalogue,
    clusters,
    comparison,
    configuration,
    diagnosis,
    disk,
    down,
    e2e,
    models,
    prune,
    recovery,
    reload,
    requests,
    schedule,
    setup,
    status,
    up,
    versions,
)
from devenv.ui import codes as codes_report
from devenv.ui.render import Report
from devenv.up import Result
from devenv.workstation.purge import Item, PurgePlan
from devenv.workstation.schedule import State
from tests.unit.ui.proofs import BROKEN, NO_TARGET, PROOF
from tests.unit.ui.test_bugreport import COLLECTED
from tests.unit.ui.test_builds import PLAN as BUILD_PLAN
from tests.unit.ui.test_clusters import CLUSTERS
from tests.unit.ui.test_configuration import CONFIGURATION
from tests.unit.ui.test_diagnosis import FOUND
from tests.unit.ui.test_disk import DISK, KEPT, PLAN, SPACE, SURVEY, THING
from tests.unit.ui.test_e2e import report as e2e_result
from tests.unit.ui.test_reload import MOVE
from tests.unit.ui.test_requests import BAD_SERIES, CUT_SERIES, GOOD_SERIES
from tests.unit.ui.test_status import STATUS
from tests.unit.ui.test_versions import SILENT, VERSIONS

GIB = 1 << 30
URL = "http://localhost:8888"
NODE = Node("c-control-plane", "id", "running", "c")
JOB = Job(
    11, 45, weekdays=True, recover=True, cluster="c", profile="p", python="/py", backend="cron"
)
INSTALLED = State(
    JOB,
    present=True,
    next=datetime(2026, 1, 5, 11, 45, tzinfo=UTC),
    last_at=9e8,
    last_says="freed 1 GiB",
)
HEALTHY = Diagnosis("c", "offline", 9e8)
ROOMY_SPACE = Space(20 * GIB, 100 * GIB, 10**6, 10**7, reserved=5 * GIB)
ROOMY_DISK = Disk("1", (ENGINE,), ROOMY_SPACE, Marks(95 * GIB, 90 * GIB, 10**7))
ROOMY_SURVEY = Survey(
    (
        Ledger(
            ENGINE,
            "/docker",
            "1",
            ROOMY_SPACE,
            Budget(),
            (Share("images", GIB, "1, all with a name"),),
        ),
    ),
    (ROOMY_DISK,),
    (),
)
PUT_BACK = RepairStep(Kind.PUT_BACK, "offline", "DE305", ("DE502",))
MANIFEST = {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "n", "name": "s"}}
GONE = Drift(MANIFEST, is_missing=True)
DRIFT = Drift(
    {**MANIFEST, "kind": "Deployment"},
    by=("kubectl",),
    changes=(
        Change("spec.replicas", "0", "2"),
        Change("spec.template.spec.containers[c].args", "", json.dumps(["--a-long-argument"] * 4)),
        Change("spec.template.spec.containers[c].env[API_KEY].value", NOT_SHOWN, NOT_SHOWN),
    ),
)
STEP = RepairStep(Kind.RESTART, "proxy", "DE201")
JOURNAL = (
    {"at": 9e8, "event": "removed", "name": "old:1", "measured": GIB, "estimated": GIB, "who": "user"},
    {"at": 9e8, "event": "skipped", "name": "new:1", "why": "in use", "who": "schedule"},
    {"at": 9e8, "event": "remove", "name": "cut:1", "id": "sha256:3", "who": "user"},
)  # fmt: skip
ERROR = DevenvError(
    "The port 8888 is in use.", "process 7 (python3)", "End it, or choose another port."
)


def of_commands(incident, healthy) -> dict[str, list[tuple[str, Report]]]:
    """Return command → (what happened, its report) for all reports. `incident`, `healthy`: recorded facts."""
    result = Result("c", "offline", "http://localhost:8888", (PROOF,), changed=True, version="v1")
    removal = Removal((NODE,), (), ("docker.io/library/redis:latest",), {})
    purge = PurgePlan((Item("devenv.local/redis:1", GIB),), (Item("Go's caches", GIB),), ("other",))
    moved = Moved(MOVE, "sha256:new", 10, {"move": 1.0})
    renewed = Renewed(("model",), ("model-1",), (PROOF,))
    return {
        "up": [("a new cluster", up.up(result, "asked for"))],
        "list": [("three clusters", clusters.clusters(CLUSTERS)), ("none", clusters.clusters([]))],
        "status": [("one component is not ready", status.status(STATUS))],
        "stop": [("it ran", status.stopped("c", [NODE])), ("it did not run", status.stopped("c", []))],
        "restart": [("two components", status.restarted("c", ["envoy-gateway", "proxy"], [PROOF]))],
        "request": [
            ("proven", requests.request(requests.Answered(PROOF), URL)),
            ("--raw, the proof", requests.request(requests.Answered(PROOF), URL, is_raw=True)),
            ("refused", requests.request(requests.Answered(BROKEN), URL)),
            ("an error, with a hint", requests.request(requests.Answered(NO_TARGET, ("Use random.",)), URL)),
            ("--for, without a failure", requests.series(GOOD_SERIES)),
            ("--for, with failures", requests.series(BAD_SERIES)),
            ("--for, interrupted", requests.series(CUT_SERIES)),
        ],
        "down": [
            ("--purge", down.down(down.Teardown("c", removal, purge))),
            ("--purge --dry-run", down.down(down.Teardown("c", removal, purge, dry_run=True))),
            ("no such cluster", down.down(down.Teardown("c", Removal(), PurgePlan()))),
        ],
        "doctor": [
            ("a root cause", diagnosis.diagnosis(FOUND, everything=False)),
            ("--compare", comparison.comparison(healthy, incident, compare(healthy, incident))),
            ("--explain DE401", codes_report.explanation(codes.get("DE401"))),
        ],
        "recover": [
            ("--dry-run", recovery.plan("c", Proposal(FOUND, Plan((STEP,), ())))),
            ("--dry-run, an object is put back", recovery.plan("c", Proposal(FOUND, Plan((PUT_BACK,), ()), (), (DRIFT, GONE)))),
            ("repaired", recovery.recovery(Recovery("c", FOUND, HEALTHY, (STEP,), (PROOF,), ("DE201",)))),
            ("still not healthy", recovery.recovery(Recovery("c", FOUND, FOUND, (STEP,), (PROOF,), ("DE201",)))),
            ("nothing to repair", recovery.recovery(Recovery("c", HEALTHY, HEALTHY, (), (PROOF,)))),
        ],
        "reload-image": [
            ("--dry-run", reload.plan("c", ReloadPlan((MOVE,), (), ("n",)))),
            ("reloaded", reload.result(ReloadResult("c", (moved,), renewed, {"move": 1.0}))),
        ],
        "disk": [
            ("over budget", disk.survey(SURVEY, everything=False)),
            ("within budget, with a reserve", disk.survey(ROOMY_SURVEY, everything=False)),
        ],
        "prune": [
            ("--dry-run", prune.plan(SpaceProposal(SURVEY, (PLAN,)))),
            ("pruned", prune.outcome(Outcome((RemovalResult(THING, 9, 8), RemovalResult(KEPT, 1, 0, "used")), (DISK,), (SPACE,), (DISK,)))),
            ("--history", prune.history(JOURNAL)),
        ],
        "schedule": [
            ("installed", schedule.installed(INSTALLED)),
            ("not installed", schedule.status(State(None, present=False, next=None))),
            ("run", schedule.ran(ScheduledReport("freed 1 GiB", well=True))),
            ("remove", schedule.removed(["cron"])),
        ],
        "model": [
            ("add", models.added(NewModel("m", "", 1, 8000, "default", ""), [PROOF], "http://localhost:8888")),
            ("list", models.listed([ListedModel("m", PodCount(1, 2), ("default/m",), "accepted", "default/m", (PROOF,), is_added_by_devenv=True)])),
            ("rm", models.removed("m", [], is_removed=True)),
        ],
        "images": [
            ("list", catalogue.images([Entry("kube", "v1", "what it is", "key", "ref", built=True, size=GIB, seconds=9)])),
            ("build", builds.build(BUILD_PLAN, dry_run=False)),
            ("build --dry-run", builds.build(BUILD_PLAN, dry_run=True)),
            ("build, all is built", builds.build(BuildPlan(()), dry_run=False)),
        ],
        "setup": [("it installed a package", setup.actions(["installed gcc"])), ("nothing", setup.actions([]))],
        "bugreport": [("logs are missing", bugreport.archive(COLLECTED, Path("report.tar.gz"), 9))],
        "config": [("view", configuration.configuration(CONFIGURATION))],
        "version": [("a cluster", versions.versions(VERSIONS)), ("no answers", versions.versions(SILENT))],
        "test-e2e": [("one test failed", e2e.report(e2e_result()))],
    }  # fmt: skip
