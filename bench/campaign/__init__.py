"""Faults on a real cluster, and what `devenv doctor` makes of them; docs/campaign.md says how.

python -m bench.campaign [CASE…] injects named faults; --random N changes one field a round; --looks N
looks at a healthy cluster.
"""

import argparse
import sys
from pathlib import Path

from bench import traces
from bench.campaign import looks, named, rounds
from tests.cluster.lab import Lab


def main() -> None:
    options = _options()
    cases = named.chosen(options.cases, options.layer)
    if options.list:
        for case in cases:
            print(f"{case.layer:14} {case.name}")
        return
    # Campaigns of different seeds may run at the same time.
    name = f"campaign-{options.seed}" if options.random else "campaign"
    with traces.made_by(name) as own:
        status = measure(own, options, cases)
    if status:
        sys.exit(status)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.campaign", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="words of the cases' names; all")
    parser.add_argument("--list", action="store_true", help="print the cases and end")
    parser.add_argument("--layer", help="only the cases of this layer")
    parser.add_argument("--random", type=int, metavar="N", help="so many random changes instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--looks",
        type=int,
        metavar="N",
        help="look N times at rest, N during `up`, N during reloads",
    )
    parser.add_argument(
        "--results", type=Path, help="where cases or rounds are noted; a campaign resumes"
    )
    parser.add_argument(
        "--facts",
        type=Path,
        metavar="FOLDER",
        help="where doctor's facts are saved, of each case or of each round that went wrong",
    )
    options = parser.parse_args()
    if options.random and not options.results:
        parser.error("--random needs --results FILE")
    return options


def measure(own: traces.Traces, options: argparse.Namespace, cases: list[named.Case]) -> int:
    """Run the cases or the rounds on a cluster of its own; return 1 if one failed."""
    traces.need_images()
    lab = Lab(own.folder / "lab", own.cluster)
    lab.up()
    if options.looks:
        return looks.run(lab, options.looks)
    if options.random:
        return rounds.run(lab, options.random, options.seed, options.results, options.facts)
    return named.run(lab, cases, options.results, options.facts)
