"""The paper's experiments and two studies of what it argues from, each a function from `Settings` to an `Outcome`."""

from simsnn_ref.experiments.base import SIZES, Claim, Outcome, Settings, Table, to_dict, to_markdown

__all__ = ["SIZES", "Claim", "Outcome", "Settings", "Table", "to_dict", "to_markdown"]
