"""One stage's network, section 3.1: layers, first layers and their feature maps, initialization, evaluation.

Every backward pass stands below its forward pass.
"""

from simsnn_ref.network.definition import evaluate_network, pre_activations
from simsnn_ref.network.evaluation import block_map, evaluate_extended, network_map, scaled_points, tensor_map
from simsnn_ref.network.extended_precision import (
    ExtendedBackend,
    extend,
    extended_backend,
    extended_eps,
    interpolated,
    is_extended,
)
from simsnn_ref.network.features.base import FeatureGradient, FeatureMap, Features, cos_and_sin
from simsnn_ref.network.features.choose import ENTRY_POINT_GROUP, FEATURE_MAPS, has_nufft, make_map, require_map
from simsnn_ref.network.features.cost import NUFFT_ELEMENTS, MapSizes, step_seconds
from simsnn_ref.network.features.dense import DenseMap
from simsnn_ref.network.features.fft import FFTMap
from simsnn_ref.network.features.linear import LinearMap
from simsnn_ref.network.features.separable import SeparableMap
from simsnn_ref.network.initialization import (
    FIRST_LAYERS,
    MODES_OF_THE_TARGET,
    TRAINABLE_WAVENUMBERS,
    constant_network,
    initialize,
    require_first_layer,
)
from simsnn_ref.network.layers import affine_transpose, tanh_jvp, tanh_vjp
from simsnn_ref.network.near_linear import near_linear_network
from simsnn_ref.network.network import Network, Parameters, point_blocks, tile, untile

__all__ = [
    "ENTRY_POINT_GROUP",
    "FEATURE_MAPS",
    "FIRST_LAYERS",
    "MODES_OF_THE_TARGET",
    "NUFFT_ELEMENTS",
    "TRAINABLE_WAVENUMBERS",
    "DenseMap",
    "ExtendedBackend",
    "FFTMap",
    "FeatureGradient",
    "FeatureMap",
    "Features",
    "LinearMap",
    "MapSizes",
    "Network",
    "Parameters",
    "SeparableMap",
    "affine_transpose",
    "block_map",
    "constant_network",
    "cos_and_sin",
    "evaluate_extended",
    "evaluate_network",
    "extend",
    "extended_backend",
    "extended_eps",
    "has_nufft",
    "initialize",
    "interpolated",
    "is_extended",
    "make_map",
    "near_linear_network",
    "network_map",
    "point_blocks",
    "pre_activations",
    "require_first_layer",
    "require_map",
    "scaled_points",
    "step_seconds",
    "tanh_jvp",
    "tanh_vjp",
    "tensor_map",
    "tile",
    "untile",
]
