"""The options of a fit: one frozen, typed dataclass, read from and written to TOML, checked once."""

import contextlib
import difflib
import math
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from simsnn_ref.errors import ConfigError
from simsnn_ref.network import FEATURE_MAPS, FIRST_LAYERS
from simsnn_ref.optimizers import LpLoss

__all__ = [
    "DIVERGENCES",
    "MODES",
    "OFF_GRID_METHODS",
    "OPTIMIZERS",
    "SCHEDULES",
    "FitConfig",
    "config_from_dict",
    "config_from_toml",
]

MODES = ("accurate", "paper")
OPTIMIZERS = ("auto", "adam", "gauss_newton", "levenberg_marquardt", "lbfgs")
SCHEDULES = ("exponential", "plateau", "constant")
DIVERGENCES = ("stop", "restart")
OFF_GRID_METHODS = ("auto", "interpolation", "random", "holdout", "none")

T = TypeVar("T")

_INTEGER_LIMIT = 2**63
"""Larger ones are not kept in files."""

_POSITIVE = (
    "stages",
    "plateau_window",
    "off_grid_points",
    "nufft_tolerance",
    "learning_rate",
    "final_learning_rate",
    "epsilon",
    "sigma",
    "delta",
    "inner_iterations",
    "memory",
)
_NOT_NEGATIVE = (
    "seed",
    "plateau_threshold",
    "target",
    "max_features",
    "refine",
    "damping",
    "target_rms",
    "stall_tolerance",
    "max_seconds",
)


def _option(default: Any, text: str, choices: tuple[str, ...] | None = None) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True)
class FitConfig:
    """Every option of `simsnn_ref.fit`. Options marked "per stage" take one value or one for each stage.

    A tuple shorter than the number of stages repeats its last entry.

    Raises
    ------
    ConfigError
        For a value of the wrong type or out of range; the message names the option.
    """

    mode: str = _option(
        "accurate",
        "accurate: small error between the samples too; paper: Algorithm 1, Xavier weights, training at the samples",
        MODES,
    )
    stages: int = _option(3, "largest number of stages")
    target: float = _option(5e-17, "no further stage once the RMS relative to the field is below; 0 uses all stages")
    first_layer: tuple[str, ...] = _option(("si",), "first layer, per stage", FIRST_LAYERS)
    n_features: tuple[int, ...] = _option(
        (0,), "width n_f of the first layer, per stage; 0 counts the modes above mode_threshold"
    )
    mode_threshold: float = _option(
        2e-4, "paper: n_features = 0 takes the modes whose amplitude is at least this share of the largest"
    )
    tail_tolerance: float = _option(
        1e-10, "accurate: n_features = 0 takes the largest modes until the RMS of the others is below this share"
    )
    max_features: int = _option(0, "upper limit of n_features = 0 (0: 10000 in mode paper, 400000 in mode accurate)")
    delta: float = _option(1e-5, "accurate: size of z_1 at the start; the nonlinear part is of size delta^2")
    refine: int = _option(
        0, "accurate: training points per sample along each axis, where the field is known between (0: as needed)"
    )
    hidden: tuple[int, ...] = _option((30, 30, 30), "widths of the tanh layers")
    z1_rms: tuple[float, ...] = _option((0.0,), "paper: RMS of z_1 at the start, per stage (0: by Xavier's rule)")
    output_gain: tuple[float, ...] = _option(
        (1.0,), "paper: factor on Xavier's output weights at the start, per stage (well above 1: a linear start)"
    )
    sigma: float = _option(1.0, "standard deviation of B for rff, ffm and cos, in cycles per unit of [-1, 1]")
    train_wavenumbers: bool | None = _option(
        None, "whether B trains (default: only for msnn and cos; the fft map needs it frozen)"
    )
    feature_map: str = _option("auto", "how products with the features are evaluated", FEATURE_MAPS)
    nufft_tolerance: float = _option(
        1e-13, "nufft: error of a product with the features while training, relative to its norm; 2e-15 or more"
    )
    p: float = _option(0.0, "exponent of the L^p loss, at least 2 (2: RMS; 0: 10 in mode paper, 2 in mode accurate)")
    optimizer: str = _option("auto", "training method; auto chooses by size and says which", OPTIMIZERS)
    steps: tuple[int, ...] = _option((), "largest number of steps, per stage (default: 500 with adam, else 40)")
    learning_rate: float = _option(1e-2, "Adam's initial step size")
    schedule: str = _option("exponential", "how the step size is annealed", SCHEDULES)
    final_learning_rate: float = _option(1e-4, "exponential: step size at the last step")
    plateau_window: int = _option(2500, "plateau: steps whose mean loss is compared with that of the window before")
    plateau_threshold: float = _option(
        0.4, "plateau: halve when the means differ by less than this many standard deviations"
    )
    beta1: float = _option(0.9, "Adam's decay of the gradient's mean")
    beta2: float = _option(0.999, "Adam's decay of the gradient's square")
    epsilon: float = _option(1e-8, "Adam's guard against division by zero")
    inner_iterations: int = _option(300, "gauss_newton: largest number of inner iterations a step")
    damping: float = _option(1e-3, "gauss_newton, levenberg_marquardt: first Marquardt damping, relative")
    memory: int = _option(20, "lbfgs: pairs of vectors kept")
    target_rms: float = _option(1e-12, "a stage ends when the RMS of its normalised residue is below")
    stall_tolerance: float = _option(
        0.1,
        "all but adam: a stage ends when the second half of its work has brought less than this share of its progress",
    )
    max_seconds: float = _option(0.0, "a stage's training ends after this time (0: no limit)")
    on_divergence: str = _option(
        "stop",
        "where a number in training is not finite: stop with an error, or restart from the best parameters with half"
        " the step",
        DIVERGENCES,
    )
    off_grid: str = _option(
        "auto",
        "how the error between the samples is measured; auto: interpolation for periodic samples, random for functions,"
        " holdout for scattered points",
        OFF_GRID_METHODS,
    )
    off_grid_points: int = _option(1000, "random: number of points")
    certify: bool = _option(True, "check the last errors by a second route, at single points, in long double")
    seed: int = _option(0, "seed of every random number")
    deterministic: bool = _option(
        False, "refuse whatever would make the last bits depend on threads or the clock; needs OMP_NUM_THREADS=1"
    )
    backend: str = _option("numpy", "array library, NAME[:DEVICE]: numpy or an installed plug-in")

    def __post_init__(self) -> None:
        for item in fields(self):
            value = _coerce(item.name, getattr(self, item.name), item.type)
            object.__setattr__(self, item.name, value)
            choices = item.metadata["choices"]
            for entry in value if isinstance(value, tuple) else (value,):
                if choices and entry not in choices:
                    nearest = _nearest(entry, choices)
                    raise ConfigError(f"{item.name} = {entry!r}: choose one of {', '.join(choices)}{nearest}")
        self._check_ranges()

    def _check_ranges(self) -> None:
        if self.p != 0.0:
            LpLoss(self.p)
        for names, least, text in (
            (_POSITIVE, 0.0, "above 0"),
            (_NOT_NEGATIVE, -math.ulp(0.0), "of at least 0"),
        ):
            for name in names:
                if not least < getattr(self, name) < math.inf:
                    raise ConfigError(f"{name} = {getattr(self, name)}: needs a finite value {text}")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: needs 0 <= {name} < 1")
        for name in ("mode_threshold", "tail_tolerance"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: needs 0 < {name} <= 1")
        for name, least_entry in (("hidden", 1), ("n_features", 0), ("steps", 0), ("z1_rms", 0)):
            if not all(least_entry <= entry < math.inf for entry in getattr(self, name)):
                raise ConfigError(
                    f"{name} = {getattr(self, name)}: every entry needs to be finite and at least {least_entry}"
                )
        if not all(0.0 < entry < math.inf for entry in self.output_gain):
            raise ConfigError(f"output_gain = {self.output_gain}: every entry needs to be finite and above 0")
        for name in ("first_layer", "n_features", "z1_rms", "output_gain"):
            if not getattr(self, name):
                raise ConfigError(f"{name}: needs at least one entry")
        self._check_mode()

    def _check_mode(self) -> None:
        if self.mode == "accurate" and set(self.first_layer) != {"si"}:
            raise ConfigError(
                f"first_layer = {', '.join(self.first_layer)}: mode 'accurate' has 'si'; use mode 'paper'"
            )
        if self.mode == "accurate" and self.train_wavenumbers:
            raise ConfigError("train_wavenumbers = true: mode 'accurate' keeps them at Fourier modes; use mode 'paper'")

    def resolved(self) -> "FitConfig":
        """The same options with those that depend on the mode filled in."""
        accurate = self.mode == "accurate"
        return replace(
            self,
            p=self.p or (2.0 if accurate else 10.0),
            max_features=self.max_features or (400_000 if accurate else 10_000),
            steps=self.steps or (500 if self.optimizer == "adam" else 40,),
        )

    def for_stage(self, values: tuple[T, ...], stage: int) -> T:
        """Entry of a per-stage option for the 0-based `stage`."""
        return values[min(stage, len(values) - 1)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values (lists for tuples), as JSON and TOML hold them."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def to_toml(self) -> str:
        """Text that `config_from_toml` reads back, each option with its meaning."""
        lines = []
        for item in fields(self):
            value = self.to_dict()[item.name]
            lines.append(f"# {item.metadata['help']}")
            lines.append(f"# {item.name} = true" if value is None else f"{item.name} = {_toml(value)}")
        return "\n".join(lines) + "\n"


def config_from_dict(values: dict[str, Any], source: str = "config") -> FitConfig:
    """Build a config from plain values.

    Raises
    ------
    ConfigError
        For an unknown option (with the nearest name) or a bad value.
    """
    names = [item.name for item in fields(FitConfig)]
    for name in values:
        if name not in names:
            raise ConfigError(f"{source}: unknown option {name!r}{_nearest(name, names)}")
    return FitConfig(**values)


def config_from_toml(path: str | Path) -> FitConfig:
    """Read a TOML file of options.

    Raises
    ------
    ConfigError
        If the file cannot be read or parsed, or an option is unknown or bad; the message names the file.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    return config_from_dict(values, source=str(path))


def _nearest(name: object, names: tuple[str, ...] | list[str]) -> str:
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _coerce(name: str, value: Any, kind: Any) -> Any:
    """Convert `value` to the field's type where that loses nothing, else say what is expected."""
    if kind == (bool | None):
        if value is None or isinstance(value, bool):
            return value
        raise ConfigError(f"{name} = {value!r}: expected true or false")
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise ConfigError(f"{name} = {value!r}: expected true or false")
    if kind in (int, float, str):
        return _scalar(name, value, kind)
    entry_kind = get_args(kind)[0]
    entries = value if isinstance(value, list | tuple) else (value,)
    return tuple(_scalar(name, entry, entry_kind) for entry in entries)


def _scalar(name: str, value: Any, kind: type) -> Any:
    if kind is str and isinstance(value, str):
        return value
    if kind is not str and isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError, ValueError):
            converted = kind(value)
            if converted == value and (kind is float or abs(converted) < _INTEGER_LIMIT):
                return converted
    expected = {int: "an integer", float: "a number", str: "a string"}[kind]
    raise ConfigError(f"{name} = {value!r}: expected {expected}")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
