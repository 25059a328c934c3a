"""The options of a fit, in groups: what each one means, its default, and what it may be, stated once."""

from dataclasses import dataclass

from simsnn_ref.model.options import ABOVE_0, DECAY, SHARE, OptionGroup, at_least, option
from simsnn_ref.network import FEATURE_MAPS, FIRST_LAYERS

__all__ = [
    "METHODS",
    "OFF_GRID_METHODS",
    "OPTIMIZERS",
    "FirstLayerOptions",
    "NetworkOptions",
    "RunOptions",
    "SamplingOptions",
    "StageOptions",
    "TrainingOptions",
]

METHODS = ("adam", "gauss_newton", "levenberg_marquardt", "lbfgs")
OPTIMIZERS = (*METHODS, "second_order")
SCHEDULES = ("exponential", "plateau", "constant")
DIVERGENCES = ("stop", "restart")
OFF_GRID_METHODS = ("auto", "interpolation", "random", "holdout", "none")


@dataclass(frozen=True, kw_only=True)
class StageOptions(OptionGroup):
    """How many stages there are. The flat name of `count` is ``stages``."""

    count: int | None = option(
        None,
        "largest number of stages",
        name="stages",
        by_mode={"paper": 4, "accurate": 3},
        interval=at_least(1),
    )
    target: float = option(
        5e-17,
        "no further stage once the RMS relative to the field is below; 0 uses all stages",
        interval=at_least(0),
    )


@dataclass(frozen=True, kw_only=True)
class FirstLayerOptions(OptionGroup):
    """The layer of cosines, and where its wavenumbers come from. The flat name of `kind` is ``first_layer``."""

    kind: tuple[str, ...] = option(("si",), "first layer", name="first_layer", choices=FIRST_LAYERS, per_stage=True)
    n_features: tuple[int | None, ...] = option(
        (None,),
        "width n_f of the first layer",
        auto="as many modes as mode_threshold or tail_tolerance ask for, or 256 random features",
        interval=at_least(1),
        per_stage=True,
    )
    mode_threshold: float = option(
        2e-4,
        "n_features = auto takes the modes whose amplitude is at least this share of the largest",
        interval=SHARE,
        mode="paper",
    )
    tail_tolerance: float = option(
        1e-10,
        "n_features = auto takes the largest modes until the RMS of the others is below this share",
        interval=SHARE,
        mode="accurate",
    )
    max_features: int | None = option(
        None,
        "upper limit of n_features = auto",
        by_mode={"paper": 10_000, "accurate": 400_000},
        interval=at_least(1),
    )
    sigma: float = option(
        1.0,
        "standard deviation of B for rff, ffm and cos, in cycles per unit of [-1, 1]",
        interval=ABOVE_0,
        mode="paper",
    )
    train_wavenumbers: bool | None = option(
        None,
        "whether B trains; frozen at Fourier modes, the fast map fft can serve",
        auto="in mode paper, wherever the first layer allows it",
    )


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(OptionGroup):
    """The layers behind the first one, how they start, and how products with the features are evaluated."""

    hidden: tuple[int, ...] = option((30, 30, 30), "widths of the tanh layers", interval=at_least(1))
    delta: float = option(
        1e-5, "size of z_1 at the start; the nonlinear part is of size delta^2", interval=ABOVE_0, mode="accurate"
    )
    z1_rms: tuple[float | None, ...] = option(
        (None,),
        "RMS of z_1 at the start",
        auto="by Xavier's rule",
        interval=ABOVE_0,
        mode="paper",
        per_stage=True,
    )
    output_gain: tuple[float, ...] = option(
        (1.0,),
        "factor on Xavier's output weights at the start (well above 1: a linear start)",
        interval=ABOVE_0,
        mode="paper",
        per_stage=True,
    )
    feature_map: str = option("auto", "how products with the features are evaluated", choices=FEATURE_MAPS)
    nufft_tolerance: float = option(
        1e-13,
        "nufft: error of a product with the features while training, relative to its norm; 2e-15 or more",
        interval=ABOVE_0,
    )


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(OptionGroup):
    """The loss, the method that lowers it, and when a stage ends."""

    p: float | None = option(
        None,
        "exponent of the L^p loss, at least 2 (2: RMS)",
        by_mode={"paper": 10.0, "accurate": 2.0},
        interval=at_least(2),
    )
    optimizer: str | None = option(
        None,
        "training method; second_order is levenberg_marquardt where the problem is small, else gauss_newton",
        by_mode={"paper": "adam", "accurate": "second_order"},
        choices=OPTIMIZERS,
    )
    steps: tuple[int, ...] | None = option(
        None,
        "largest number of steps",
        auto="with adam 150000 in mode paper and 500 in mode accurate, else 40",
        interval=at_least(0),
        per_stage=True,
    )
    learning_rate: float | None = option(
        None,
        "Adam's initial step size",
        by_mode={"paper": 1e-3, "accurate": 1e-2},
        interval=ABOVE_0,
    )
    schedule: str | None = option(
        None,
        "how the step size is annealed",
        by_mode={"paper": "plateau", "accurate": "exponential"},
        choices=SCHEDULES,
    )
    final_learning_rate: float = option(1e-4, "exponential: step size at the last step", interval=ABOVE_0)
    plateau_window: int = option(
        2500, "plateau: steps whose mean loss is compared with that of the window before", interval=at_least(1)
    )
    plateau_threshold: float = option(
        0.4,
        "plateau: halve when the means differ by less than this many standard deviations",
        interval=at_least(0),
    )
    beta1: float = option(0.9, "Adam's decay of the gradient's mean", interval=DECAY)
    beta2: float = option(0.999, "Adam's decay of the gradient's square", interval=DECAY)
    epsilon: float = option(1e-8, "Adam's guard against division by zero", interval=ABOVE_0)
    inner_iterations: int = option(300, "gauss_newton: largest number of inner iterations a step", interval=at_least(1))
    damping: float = option(
        1e-3, "gauss_newton, levenberg_marquardt: first Marquardt damping, relative", interval=at_least(0)
    )
    memory: int = option(20, "lbfgs: pairs of vectors kept", interval=at_least(1))
    target_rms: float = option(
        1e-12, "a stage ends when the RMS of its normalised residue is below", interval=at_least(0)
    )
    stall_tolerance: float = option(
        0.1,
        "all but adam: a stage ends when the second half of its work has brought less than this share of its progress",
        interval=at_least(0),
    )
    max_seconds: float | None = option(
        None, "a stage's training ends after this many seconds", auto="no limit", interval=ABOVE_0
    )
    on_divergence: str = option(
        "stop",
        "where a number in training is not finite: stop with an error, or restart from the best parameters with half"
        " the step",
        choices=DIVERGENCES,
    )


@dataclass(frozen=True, kw_only=True)
class SamplingOptions(OptionGroup):
    """Where a field is trained on, and where the error between the samples is measured."""

    refine: int | None = option(
        None,
        "training points per sample along each axis, where the field is known between",
        auto="as needed",
        interval=at_least(1),
        mode="accurate",
    )
    off_grid: str = option(
        "auto",
        "how the error between the samples is measured; auto: interpolation for periodic samples, random for functions,"
        " holdout for scattered points",
        choices=OFF_GRID_METHODS,
    )
    off_grid_points: int = option(1000, "random: number of points", interval=at_least(1))
    fit_noise: bool = option(
        False, "follow the samples on a grid to rounding even where they carry white noise", mode="accurate"
    )


@dataclass(frozen=True, kw_only=True)
class RunOptions(OptionGroup):
    """What does not change the method: where and how repeatably it runs, and whether its errors are certified."""

    certify: bool = option(True, "check the last errors by an independent evaluation, at single points, in long double")
    seed: int = option(0, "seed of every random number", interval=at_least(0))
    deterministic: bool = option(
        False, "refuse whatever would make the last bits depend on threads or the clock; needs OMP_NUM_THREADS=1"
    )
    backend: str = option("numpy", "array library, NAME[:DEVICE]: numpy or an installed plug-in")
