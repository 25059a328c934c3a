"""Results of asv as a small table to keep: one line for each benchmark and parameters, the machine on top.

    python asv_bench/record.py [--commit HASH] > asv_bench/results/NAME.csv

It reads the files that `asv run` writes to asv_bench/.asv/results, by default the newest. Times are in seconds and
memory in bytes, as asv stores them; combinations that asv left out are left out here.
"""

import argparse
import csv
import itertools
import json
import math
import platform
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / ".asv" / "results"

MACHINE_FACTS = ("cpu", "num_cpu", "ram", "arch")


def newest(commit: str) -> Path:
    files = [path for path in RESULTS.glob(f"*/{commit}*.json") if path.name != "machine.json"]
    if not files:
        raise SystemExit(f"{RESULTS}: no results{f' of commit {commit}' if commit else ''}; run asv first")
    return max(files, key=lambda path: path.stat().st_mtime)


def rows(report: dict, units: dict[str, str]):
    """Yield benchmark, parameters, value and unit."""
    columns = report["result_columns"]
    for name, entry in sorted(report["results"].items()):
        facts = dict(zip(columns, entry, strict=False))
        if not facts.get("result"):
            continue
        cases = itertools.product(*facts.get("params", []))
        for case, value in zip(cases, facts["result"], strict=True):
            if value is not None and not math.isnan(value):
                parameters = " ".join(parameter.strip("'") for parameter in case)
                yield name, parameters, f"{value:.4g}", units.get(name, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commit", default="", help="first digits of the hash (default: the newest results)")
    path = newest(parser.parse_args().commit)
    report = json.loads(path.read_text())
    machine = json.loads((path.parent / "machine.json").read_text())
    known = json.loads((RESULTS / "benchmarks.json").read_text())
    units = {name: entry["unit"] for name, entry in known.items() if isinstance(entry, dict)}
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "finufft") if find_spec(name))
    print(f"# commit {report['commit_hash'][:10]}, Python {platform.python_version()}, {versions}")
    print("#", ", ".join(f"{fact} {machine[fact]}" for fact in MACHINE_FACTS if machine.get(fact)))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("benchmark", "parameters", "value", "unit"))
    writer.writerows(rows(report, units))


if __name__ == "__main__":
    main()
