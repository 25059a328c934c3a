"""The kernel study from its settings to its outcome."""

import time

from simsnn_ref.errors import ConfigError
from simsnn_ref.experiments.base import Outcome, Settings
from simsnn_ref.experiments.ntk.claims import claims
from simsnn_ref.experiments.ntk.figure import draw
from simsnn_ref.experiments.ntk.problem import WAVES
from simsnn_ref.experiments.ntk.study import PACE, SIZES, Study
from simsnn_ref.experiments.ntk.tables import decay_table, kernel_table, wave_table

__all__ = ["run"]

TITLE = "Neural tangent kernel: what each first layer learns first"


def run(settings: Settings) -> Outcome:
    """The kernels of the first layers, what their leading eigenvectors carry, and training beside their prediction.

    Raises
    ------
    ConfigError
        If an optimizer is chosen.
    """
    if settings.optimizer:
        raise ConfigError("ntk: the kernel describes gradient descent and no other method; leave --optimizer out")
    started = time.perf_counter()
    size = SIZES[settings.shorter]
    study = Study(size, settings.say)
    return Outcome(
        name="ntk",
        title=TITLE,
        settings=settings,
        tables=(kernel_table(study), wave_table(study), decay_table(study)),
        claims=claims(study),
        numbers={
            "points": size.points,
            "widths": list(size.widths),
            "seeds": size.seeds,
            "steps": size.steps,
            "eta_lambda_1": PACE,
            "waves": [list(wave) for wave in WAVES],
            "runs": [network.numbers() for network in study.networks],
        },
        seconds=time.perf_counter() - started,
        draw=lambda: draw(study, TITLE),
    )
