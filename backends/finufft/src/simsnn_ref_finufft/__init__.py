"""The feature map ``nufft`` of `simsnn_ref`: any wavenumbers, on grids and at scattered points, by FINUFFT."""

from simsnn_ref_finufft.feature_map import NufftMap

__all__ = ["NufftMap"]
