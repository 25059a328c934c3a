"""``simsnn examples``: the built-in problems."""

import argparse
import json
from typing import Any

from simsnn_ref.commands.base import command
from simsnn_ref.problems import PROBLEMS
from simsnn_ref.report import describe_grid, table_with_legend

__all__ = ["add"]


def add(commands: Any) -> None:
    """Put the subcommand on the parser."""
    command(commands, "examples", _run_examples, "list the built-in problems")


def _run_examples(arguments: argparse.Namespace) -> None:
    if arguments.json:
        examples = [
            {
                "name": problem.name,
                "description": problem.description,
                "default_size": problem.default_size,
                **describe_grid(problem.grid()),
            }
            for problem in PROBLEMS.values()
        ]
        print(json.dumps({"examples": examples}))
        return
    rows = [
        [problem.name, " x ".join([str(problem.default_size)] * problem.box.ndim), problem.description]
        for problem in PROBLEMS.values()
    ]
    columns = {
        "name": "NAME of simsnn fit --example NAME",
        "default size": "samples along each axis; --size changes it",
        "what it is": "function or simulation, and its box",
    }
    print(table_with_legend(columns, rows))
