"""The exponent study from its settings to its outcome."""

import time
from dataclasses import asdict

from simsnn_ref.experiments.base import Outcome, Settings
from simsnn_ref.experiments.lp.claims import claims
from simsnn_ref.experiments.lp.figure import draw
from simsnn_ref.experiments.lp.study import PLANS, train_all
from simsnn_ref.experiments.lp.tables import pair_table, residue_table

__all__ = ["run"]


def run(settings: Settings) -> Outcome:
    """Train with each p, describe the residues, and let a second stage learn them.

    Parameters
    ----------
    settings : Settings
        Adam is the default optimizer: with it, the loss is L^p and nothing else at every step.
    """
    started = time.perf_counter()
    study = train_all(PLANS[settings.shorter], settings)
    return Outcome(
        name="lp",
        title="The exponent of the L^p loss (section 3.3)",
        settings=settings,
        tables=(residue_table(study), pair_table(study)),
        claims=claims(study),
        numbers={
            "fields": [{"name": plan.name, **asdict(plan), "widths": list(plan.widths)} for plan in study.plans],
            "trials": [
                {**asdict(trial), "gain_rms": trial.gain, "gain_max": trial.gain_of_max} for trial in study.trials
            ],
        },
        seconds=time.perf_counter() - started,
        draw=lambda: draw(study),
    )
