"""Runs a shipped comparison and keeps its rows in benchmarks/results/STUDY.jsonl; docs/compare.md shows them.

The comparison itself is kept in OUT (default: runs/STUDY) and gone on with.

    make bench NAME=compare                                 # compare_small, no data needed
    python benchmarks/studies/compare.py DIR --study compare_nmnist --jobs 2

What is printed last is one JSON object: accuracies, and how long it all took.
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from neurosim.report.facts import quantity
from neurosim.store import write_text
from neurosim.study.compare.page import show
from neurosim.study.compare.results import Comparison, Contestant, Paired
from neurosim.study.compare.run import run_compare
from neurosim.study.config import load_study
from neurosim.study.view import live_view

RESULTS = Path(__file__).parents[1] / "results"
# Lin et al., Nat. Comput. Sci. 5, 37 (2025): N-MNIST in per cent, on the real recordings throughout
PAPER = {
    "compare_nmnist": {
        "liquid": "89.66, software 89.11",
        "srnn": "96.96",
        "srnn_spiking": "93.93",
        "rnn": "96.23",
    }
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", metavar="DIR")
    parser.add_argument("--study", default="compare_small")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    config = load_study(options.study, options.set)
    start = time.perf_counter()
    console = Console(stderr=True)
    with live_view(console) as view:
        result = run_compare(
            config,
            options.out or Path("runs") / config.name,
            jobs=options.jobs,
            data_dir=options.data,
            show=view,
            say=lambda line: console.print(Text(line)),
        )
    rows = [row(result, one) for one in result.contestants]
    if not options.set:
        write_text(RESULTS / f"{config.name}.jsonl", "".join(json.dumps(line) + "\n" for line in rows))
    show(result, Console())
    print("\n".join(markdown(rows, PAPER.get(config.name, {}))))
    accuracies = {line["name"]: line["mean"] for line in rows}
    print(json.dumps({"accuracies": accuracies, "seconds": time.perf_counter() - start}))


def row(result: Comparison, one: Contestant) -> dict[str, Any]:
    """A contestant in a line."""

    def short(paired: Paired | None) -> dict[str, Any] | None:
        if paired is None:
            return None
        return {"other": paired.other, "difference": paired.difference, "p": paired.p_corrected}

    return {
        "name": one.name,
        "kind": one.kind,
        "variant": one.variant,
        "inputs": one.inputs,
        "n_train": result.n_train,
        "n_test": result.n_test,
        "n_trials": result.n_trials,
        "mean": one.accuracy.mean,
        "ci95": one.accuracy.ci95,
        "per_seed": one.accuracy.per_chip,
        "against": short(one.against),
        "same_parameters": short(one.same_parameters),
        "same_operations": short(one.same_operations),
        "against_full": short(one.against_full),
        "n_parameters": one.n_parameters,
        "operations": one.operations,
        "energy": one.span("energy"),
        "robustness": {name: accuracy.mean for name, accuracy in one.robustness.items()},
        "chosen": one.chosen,
        "fingerprint": result.fingerprint,
    }


def markdown(rows: list[dict[str, Any]], paper: Mapping[str, str]) -> list[str]:
    """The lines of docs/compare.md: all but reference networks and variants."""
    lines = []
    for one in rows:
        if one["kind"] == "reference" or one["variant"] not in (None, "full"):
            continue
        mean, low, high = (100 * share for share in (one["mean"], *one["ci95"]))
        cells = [f"`{one['name']}`", f"{mean:.2f} [{low:.2f}, {high:.2f}]"]
        cells += [_difference(one["against"], named=False)]
        cells += [_difference(one[column], named=True) for column in ("same_parameters", "same_operations")]
        ends = dict.fromkeys(quantity(joule, "J") for joule in one["energy"] or ())
        cells += [f"{one['n_parameters']:,}", " to ".join(ends)]
        cells += [paper.get(one["name"], "")] if paper else []
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _difference(paired: dict[str, Any] | None, *, named: bool) -> str:
    if paired is None:
        return ""
    significant = "*" if paired["p"] < 0.05 else ""
    other = f"`{paired['other']}` " if named else ""
    return f"{other}{100 * paired['difference']:+.2f}{significant}"


if __name__ == "__main__":
    main()
