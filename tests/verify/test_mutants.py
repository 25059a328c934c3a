"""Every term of every hand-written derivative and update rule, broken in turn: `simsnn_ref.verify` must tell.

A mutant is one function of the package with one piece of its source replaced. A check that fails, or an error on the
way, kills it; one that survives is a term that nothing verifies.
"""

import ast
import inspect

import numpy as np
import pytest
from mutation import identifier, plant

from simsnn_ref.backend import NumpyBackend
from simsnn_ref.errors import ConfigError
from simsnn_ref.network import layers, network
from simsnn_ref.network.features import base as features_base
from simsnn_ref.network.features import dense, fft, linear, separable
from simsnn_ref.optimizers import adam
from simsnn_ref.optimizers import loss as losses
from simsnn_ref.optimizers import objective as objectives
from simsnn_ref.optimizers.second_order import descent, gauss_newton, jacobian, lbfgs, levenberg_marquardt, scaling
from simsnn_ref.verify import (
    check_adam,
    check_lbfgs,
    check_spectral_weights,
    check_subject,
    check_trajectory,
    subjects,
    trajectories,
)

MUTANTS = [
    # layers
    (layers, "affine_forward", "c[:, None]", "1.0005 * c[:, None]"),
    (layers, "affine_forward", "W @ h", "W.T @ h"),
    (layers, "affine_vjp", "xp.sum(dz @", "1.0005 * xp.sum(dz @"),
    (layers, "affine_vjp", "xp.sum(dz @", "-xp.sum(dz @"),
    (layers, "affine_vjp", "xp.sum(dz, axis=(0, 2))", "1.0005 * xp.sum(dz, axis=(0, 2))"),
    (layers, "affine_vjp", "xp.sum(dz, axis=(0, 2))", "0.0 * xp.sum(dz, axis=(0, 2))"),
    (layers, "affine_vjp", "affine_transpose(W, dz)", "1.0005 * affine_transpose(W, dz)"),
    (layers, "affine_transpose", "else W.T @ dz", "else W @ dz"),
    (layers, "affine_transpose", "W.T * dz", "-W.T * dz"),
    (layers, "_slope", "1.0 + h", "1.0 - h"),
    (layers, "_slope", "slope = 1.0 - h", "slope = 1.0 - 1.0005 * h"),
    (layers, "tanh_vjp", "_slope(h) * dh", "dh"),
    (layers, "tanh_jvp", "_slope(h) * z_dot", "z_dot"),
    (layers, "tanh_forward", "xp.tanh(z)", "xp.tanh(1.0005 * z)"),
    # losses
    (losses, "LpLoss.vjp", "slopes * factor", "slopes"),
    (losses, "LpLoss.sums", "e / scale", "e"),
    (losses, "LpLoss.sums", "self.p - 1.0)", "self.p)"),
    (losses, "LpLoss.sums", "self.p - 1.0)", "self.p - 2.0)"),
    (losses, "LpLoss.sums", "xp.sign(r) * slopes", "slopes"),
    (losses, "LpLoss.sums", "xp.sum(slopes * r)", "1.0005 * xp.sum(slopes * r)"),
    (losses, "LpLoss.sums", "xp.sum(r * r)", "xp.sum(xp.abs(r))"),
    (losses, "LpLoss.finish", "total / n", "total"),
    (losses, "LpLoss.finish", "mean ** (1.0 / self.p),", "mean ** (1.0005 / self.p),"),
    (losses, "LpLoss.jvp", "xp.sum(self.vjp", "-xp.sum(self.vjp"),
    (losses, "LpLoss.finish", "1.0 / self.p - 1.0", "1.0 / self.p"),
    (losses, "LpLoss.finish", "- 1.0) / n", "- 1.0)"),
    (losses, "LpLoss.finish", "return scale * mean ** ", "return mean ** "),
    (losses, "LpLoss._power", "if exponent % 2 else", "if not exponent % 2 else"),
    (objectives, "Objective.value_and_gradient", "scale * math.sqrt", "math.sqrt"),
    (objectives, "Objective.value_and_gradient", "factor * slope", "slope"),
    # network
    (network, "Network.hidden_vjp", "params[W], h, dz", "params[W], h, 1.0005 * dz"),
    (network, "Network.hidden_vjp", "hs[layer - 1]", "hs[max(layer - 2, 0)]"),
    (network, "Network.hidden_vjp", "dz = tanh_vjp(h, dh)", "dz = dh"),
    (network, "Network.hidden_vjp", 'grads["c1"] = xp.sum', 'grads["c1"] = 1.0005 * xp.sum'),
    (network, "Network._wavenumbers_vjp", "self.scale * ", ""),
    (network, "Network._wavenumbers_vjp", "dK[:n, :] + dK[n:, :]", "dK[:n, :] - dK[n:, :]"),
    (network, "Network._wavenumbers_vjp", "dK[:n, :] + dK[n:, :]", "dK[:n, :]"),
    (network, "Network.first_layer_jvp", "self._wavenumbers(B_dot)", "B_dot"),
    (network, "Network.first_layer_vjp", '"b": first.phases', '"b": -first.phases'),
    (network, "Network.hidden_forward", '+ params["c1"][:, None]', '- params["c1"][:, None]'),
    (network, "Network.backward", "cotangent(u, block)", "1.0005 * cotangent(u, block)"),
    # dense map
    (dense, "DenseMap.forward", "+ features.phases", "- features.phases"),
    (dense, "DenseMap.vjp", "dphase = -(", "dphase = (1.0005 * -1.0) * ("),
    (dense, "DenseMap.vjp", "@ cos.T", "@ sin.T"),
    (dense, "DenseMap.vjp", "weights=dW * A", "weights=dW"),
    (dense, "DenseMap.vjp", "dK + dphase @ x", "dK - dphase @ x"),
    (dense, "DenseMap.jvp", "weighted_dot @ cos - ", "weighted_dot @ cos + "),
    (dense, "DenseMap.jvp", "b_dot[:, None] + K_dot @ x.T", "K_dot @ x.T"),
    # both of them
    (features_base, "cos_and_sin", "product + phases", "product - phases"),
    (features_base, "cos_and_sin", "xp.cos(phase), xp.sin(phase)", "xp.cos(phase), 1.0005 * xp.sin(phase)"),
    # separable map
    (separable, "SeparableMap.vjp", "dW * A", "dW"),
    (separable, "SeparableMap.vjp", "phases=-A", "phases=A"),
    (separable, "SeparableMap.vjp", "(-A * moments", "(-1.0005 * A * moments"),
    (separable, "SeparableMap._pull", "- self._product_transpose(dQ", "+ self._product_transpose(dQ"),
    (separable, "SeparableMap._pull", "0] + cos.T * odd", "0] - cos.T * odd"),
    (separable, "SeparableMap._pull", "1] + cos.T * even", "1] - cos.T * even"),
    (separable, "SeparableMap._pull", " + by_offset[None, :]", ""),
    (separable, "SeparableMap._pull_frozen", "- Y_s[:, :, 1]", "+ Y_s[:, :, 1]"),
    (separable, "SeparableMap._pull_frozen", "+ Y_s[:, :, 0]", "- Y_s[:, :, 0]"),
    (separable, "SeparableMap._product_transpose", "row.T @ dz", "1.0005 * row.T @ dz"),
    (separable, "SeparableMap._mixed_sums", "W.T @", "1.0005 * W.T @"),
    (separable, "SeparableMap.jvp", "- w * (sin * turn)", "+ w * (sin * turn)"),
    (separable, "SeparableMap.jvp", "+ w * (cos * turn)", "- w * (cos * turn)"),
    (separable, "SeparableMap.jvp", "P_s -= ", "P_s += "),
    (separable, "SeparableMap.jvp", "slope * cos", "1.0005 * slope * cos"),
    # fft map
    (fft, "FFTMap.vjp", "weights=xp.real(rotated)", "weights=xp.imag(rotated)"),
    (fft, "FFTMap.vjp", "db = -self.sign", "db = self.sign"),
    (fft, "FFTMap.vjp", "db = -self.sign *", "db = -"),
    (fft, "FFTMap.jvp", "W_dot + 1j", "W_dot - 1j"),
    (fft, "FFTMap._analyze_block", "xp.conj(xp.take(flat", "(xp.take(flat"),
    (fft, "FFTMap._rotation", "sin_b * cos_0 + cos_b * sin_0", "sin_b * cos_0 - cos_b * sin_0"),
    (fft, "FFTMap._synthesize_block", "0.5 * coefficients", "0.50025 * coefficients"),
    # J and its kernel
    (jacobian, "Jacobian.jvp", 'dot["c1"][:, None]', '0.0 * dot["c1"][:, None]'),
    (jacobian, "Jacobian.jvp", '+ dot[f"c{layer}"][:, None]', '- dot[f"c{layer}"][:, None]'),
    (jacobian, "Jacobian.vjp", "dz = w_tiled * D", "dz = 1.0005 * w_tiled * D"),
    (jacobian, "Jacobian.vjp", "dz = w_tiled * slopes[0]", "dz = w_tiled * slopes[-1]"),
    (jacobian, "Jacobian.vjp", "xp.matrix_transpose(h), axis=0)", "xp.matrix_transpose(h * h), axis=0)"),
    (
        levenberg_marquardt,
        "kernel",
        "(H[:, start:stop].T @ H[:, start:])",
        "(1.0005 * H[:, start:stop].T @ H[:, start:])",
    ),
    (levenberg_marquardt, "kernel", "strip = strip + G[", "strip = strip - G["),
    (levenberg_marquardt, "_factors", "network.scale * pulled", "pulled"),
    # derivatives in x, the part that is linear in the features
    (layers, "tanh_second", "z_ij - 2.0", "z_ij - 2.001"),
    (layers, "tanh_second", "z_ij - 2.0", "z_ij + 2.0"),
    (layers, "tanh_second", "_slope(h) * (", "(1.0 + h) * ("),
    (layers, "tanh_second", "(h * z_i) * z_j", "z_i * z_j"),
    (network, "Network.derivatives", "first[i], first[j]", "first[i], first[i]"),
    (network, "Network.derivatives", "tanh_jvp(h, z_i)", "z_i"),
    (network, "Network.derivatives", "second[min(i, j), max(i, j)]", "second[min(i, j), min(i, j)]"),
    (network, "Network._first_layer_derivatives", "W * K[:, i]", "W * K[:, 0]"),
    (network, "Network._first_layer_derivatives", "+ 0.5 * np.pi", "- 0.5 * np.pi"),
    (network, "Network._first_layer_derivatives", "fmap.forward(-W", "fmap.forward(W"),
    (network, "Network._first_layer_derivatives", "K[:, i] * K[:, j]", "K[:, i] * K[:, i]"),
    (network, "Network._first_layer_derivatives", "W[:, i : i + 1]", "W[:, 0:1]"),
    (network, "Network.linear_part", "tanh_jvp(h0, z_dot)", "z_dot"),
    (network, "Network.linear_part", "z0[0, :] + ", ""),
    (network, "Network.shifted", "+ self._wavenumbers", "- self._wavenumbers"),
    (network, "Network.shifted", 'self._wavenumbers(params["B"])', 'params["B"]'),
    (network, "Network.shifted", '+ params["W1"] @ delta', ""),
    # linear map
    (linear, "LinearMap.forward", "W @", "1.0005 * W @"),
    (linear, "LinearMap.vjp", "dz @ self.points", "1.0005 * dz @ self.points"),
    (linear, "LinearMap.jvp", "W_dot @ self.points.T", "-W_dot @ self.points.T"),
    # fft map: the half spectrum, and the cropped period
    (fft, "FFTMap._synthesize_block", "xp.where(self.self_conjugate, real, 0.5 * coefficients)", "0.5 * coefficients"),
    (fft, "FFTMap._synthesize_block", "xp.where(self.self_conjugate, real, 0.5 * coefficients)", "coefficients"),
    (fft, "FFTMap._synthesize_block", "xp.conj(xp.take(half", "(xp.take(half"),
    (fft, "FFTMap._synthesize_block", "slice(0, n)", "slice(-n, None)"),
    (fft, "FFTMap._analyze_block", "[field, zeros]", "[zeros, field]"),
    (fft, "FFTMap._rotation", "cos_b * cos_0 - sin_b", "cos_b * cos_0 + sin_b"),
    (fft, "FFTMap._rotation", "b = self.sign * features.phases", "b = features.phases"),
    (fft, "FFTMap._rotation", "features.amplitudes * (", "("),
    (fft, "FFTMap.jvp", "self.sign * b_dot", "b_dot"),
    (fft, "FFTMap.__init__", "half_shape = (*lattice[:-1], int(np.max(stored[:, -1])) + 1)", "half_shape = lattice"),
    (fft, "FFTMap.__init__", "on_plane & ~self_conjugate", "on_plane & self_conjugate"),
    (fft, "FFTMap.__init__", "np.where(flipped[:, None], -indices, indices)", "np.abs(indices)"),
    (fft, "FFTMap.__init__", "sign * grid.origin_phases", "grid.origin_phases"),
    # J: what is left of it
    (jacobian, "Jacobian._factors", "self.xp.ones_like(u)", "1.0005 * self.xp.ones_like(u)"),
    (jacobian, "Jacobian._slopes", "hs[layer - 1]", "hs[layer - 2]"),
    (jacobian, "Jacobian._slopes", "tanh_vjp(hs[layer - 1], ", "(1.0005 * "),
    (jacobian, "Jacobian.jvp", "slopes[0] * (tile", "slopes[-1] * (tile"),
    (jacobian, "Jacobian.jvp", 'D * (dot[f"W{layer}"] @ h', '(dot[f"W{layer}"] @ h'),
    (jacobian, "Jacobian.jvp", 'dot[f"W{layer}"] @ h', 'dot[f"W{layer}"] @ (h * h)'),
    (jacobian, "Jacobian.vjp", '"c1": xp.sum(dz', '"c1": 1.0005 * xp.sum(dz'),
    (jacobian, "Jacobian.vjp", 'grads[f"c{layer}"] = xp', 'grads[f"c{layer}"] = -xp'),
    (jacobian, "Jacobian.vjp", "dz = w_tiled * D", "dz = w_tiled"),
    (jacobian, "Jacobian.vjp", "untile(xp, dz)", "untile(xp, w_tiled + 0.0 * dz)"),
    (levenberg_marquardt, "dense_jacobian", "D[:, None, :] * H[None, :, :]", "D[:, None, :] * H[None, :, :] ** 2"),
    (levenberg_marquardt, "dense_jacobian", "D[:, None, :] * H[None, :, :]", "H[:, None, :] * D[None, :, :]"),
    (levenberg_marquardt, "dense_jacobian", 'rows[f"c{layer}"] = D', 'rows[f"c{layer}"] = 1.0005 * D'),
    (levenberg_marquardt, "_factors", "dB[:n, :, :] + dB[n:, :, :]", "dB[:n, :, :]"),
    (levenberg_marquardt, "_factors", "pulled * objective", "-pulled * objective"),
    (levenberg_marquardt, "_factors", "if i == axis", "if i != axis"),
    # natural scales
    (scaling, "natural_scales", "xp.sqrt(square / n_points)", "xp.sqrt(square)"),
    (scaling, "natural_scales", "xp.sqrt(unit / n_points)", "(unit / n_points)"),
    (scaling, "natural_scales", "xp.sum(W * (gram @ W), axis=0)", "xp.sum(W * W, axis=0)"),
    (scaling, "natural_scales", "(2.0 * n_points)", "n_points"),
    (scaling, "natural_scales", "slopes = A * xp.sqrt", "slopes = xp.sqrt"),
    (scaling, "natural_scales", "xp.clip(slopes, min=1.0)", "slopes"),
    (scaling, "natural_scales", "slopes[:n] + slopes[n:]", "slopes[:n]"),
    (scaling, "natural_scales", "network.scale * xp.clip(paired", "xp.clip(paired"),
    (scaling, "natural_scales", "xp.clip(paired, min=1.0)", "paired"),
    (scaling, "natural_scales", "A / math.sqrt(2.0)", "A"),
    (scaling, "natural_scales", "D @ xp.matrix_transpose(D)", "D[:, ::-1, :] @ xp.matrix_transpose(D)"),
    (scaling, "NaturalScales.by_name", "row[:, None] * column", "row[:, None] / column"),
    (scaling, "NaturalScales.by_name", "row[:, None] * column, row", "row[:, None] * column, row * row"),
    (scaling, "_inverse", "1.0 / xp.clip", "1.0005 / xp.clip"),
    # the kernel with scales
    (levenberg_marquardt, "kernel", "strip + (D[", "strip + 1.0005 * (D["),
    (levenberg_marquardt, "kernel", "= strip.T", "= 0.0 * strip.T"),
    # spectral weights
    (scaling, "SpectralWeights.measure", ") ** 2\n", ")\n"),
    (scaling, "SpectralWeights.measure", "** -0.5", "** -0.50025"),
    (scaling, "SpectralWeights.measure", "** -0.5", "** 0.5"),
    (scaling, "SpectralWeights.measure", "np.fft.fftfreq(n, 1 / n)", "np.arange(n)"),
    (scaling, "SpectralWeights.measure", "np.maximum(counts, 1)", "1.0"),
    (scaling, "SpectralWeights.measure", "[shells]", "[shells] * (1.0 + shells)"),
    (scaling, "SpectralWeights.measure", "power = power + ", "power = "),
    (scaling, "SpectralWeights.measure", "factors / np.sqrt(np.mean(factors**2))", "factors"),
    (scaling, "SpectralWeights.__call__", " / e.shape[0]", ""),
    (scaling, "SpectralWeights.__call__", "self.factors * spectrum", "self.factors**2 * spectrum"),
    # Levenberg-Marquardt
    (levenberg_marquardt, "_DataSpace.solve", "-e[:, None]", "e[:, None]"),
    (levenberg_marquardt, "_DataSpace.solve", "self.kernel + shift", "self.kernel + 1.0005 * shift"),
    (levenberg_marquardt, "_DataSpace.solve", "max(damping,", "max(0.0,"),
    (levenberg_marquardt, "_DataSpace.solve", "self.squares * ", ""),
    (levenberg_marquardt, "_DataSpace.__init__", "** 2", ""),
    (levenberg_marquardt, "_DataSpace.__init__", "kernel(self.jacobian, scales)", "kernel(self.jacobian)"),
    (levenberg_marquardt, "_ParameterSpace.solve", "math.sqrt(damping)", "damping"),
    (levenberg_marquardt, "_ParameterSpace.solve", "weights[:, None] * self.scaled", "self.scaled"),
    (levenberg_marquardt, "_ParameterSpace.solve", "(weights * e)", "e"),
    (levenberg_marquardt, "_ParameterSpace.solve", "R, -(Q", "R, (Q"),
    (levenberg_marquardt, "_ParameterSpace.solve", "unflatten(self.scales * y", "unflatten(y"),
    (levenberg_marquardt, "_ParameterSpace.solve", "self.scaled @ y)", "1.0005 * self.scaled @ y)"),
    (
        levenberg_marquardt,
        "_ParameterSpace.__init__",
        "dense_jacobian(jacobian) * self",
        "dense_jacobian(jacobian) / self",
    ),
    # conjugate gradients
    (gauss_newton, "_MatrixFree._push", "self.scales * y", "y"),
    (gauss_newton, "_MatrixFree._pull", "self.scales * ", ""),
    (gauss_newton, "_MatrixFree._step", "self.scales * y", "y"),
    (gauss_newton, "_MatrixFree.solve", "downhill + self", "self"),
    (gauss_newton, "_MatrixFree._weigh", "if self.spectral is None else", "if True else"),
    (gauss_newton, "_MatrixFree.solve", "Effort(effort.forcing, 1)", "Effort(effort.forcing, 2)"),
    (
        gauss_newton,
        "_MatrixFree.solve",
        "lambda v: weights * v, e, damping, Effort(effort.forcing, iterations)",
        "lambda v: v, e, damping, Effort(effort.forcing, iterations)",
    ),
    (gauss_newton, "_MatrixFree._cgls", "-weigh(e)", "weigh(e)"),
    (gauss_newton, "_MatrixFree._cgls", "effort.forcing**2", "effort.forcing"),
    (gauss_newton, "_MatrixFree._cgls", "s = self._pull(weigh(r))\n", "s = self._pull(r)\n"),
    (gauss_newton, "_MatrixFree._cgls", "q = weigh(pushed)", "q = pushed"),
    (gauss_newton, "_MatrixFree._cgls", "curvature = q_square + damping * p_square", "curvature = q_square"),
    (gauss_newton, "_MatrixFree._cgls", "square / curvature", "1.0005 * square / curvature"),
    (gauss_newton, "_MatrixFree._cgls", "r - length * q", "r + length * q"),
    (gauss_newton, "_MatrixFree._cgls", "du + length * pushed", "du + length * q"),
    (gauss_newton, "_MatrixFree._cgls", " - damping * y", ""),
    (gauss_newton, "_MatrixFree._cgls", "p = s + (square / before) * p", "p = s"),
    (gauss_newton, "_MatrixFree._cgls", "p = s + (square / before) * p", "p = s + 1.0005 * (square / before) * p"),
    (gauss_newton, "_MatrixFree._cgls", "SPACING * keep", "2.0 * keep"),
    # descent: the step and its length
    (descent, "CandidateStep.times", "length * self.du", "self.du"),
    (descent, "CandidateStep.times", "length * d for", "d for"),
    (descent, "_try", "params[name] + d", "params[name] - d"),
    (descent, "_trials", "reversed(path)", "path"),
    (descent, "_trials", "0.25**cuts", "0.5**cuts"),
    (descent, "_search", "trial.value < best.value", "trial.value > best.value"),
    (descent, "_search", "best.value < value", "best.value > value"),
    (descent, "_solve", "control.damping * (value * value)", "control.damping * value"),
    (descent, "_solve", "control.damping * (value * value) * square", "control.damping * (value * value)"),
    (descent, "_solve", "shard.n_total if control.is_overparameterized", "1.0 if control.is_overparameterized"),
    (descent, "_solve", "0.0 if control.is_overparameterized else control.floor", "control.floor"),
    (descent, "_solve", "step.times(_step_length(objective, e, step.du))", "step"),
    (descent, "_solve", "(1.0 - LITTLE) * value", "2.0 * value"),
    (descent, "_promised", "e + step.du", "e - step.du"),
    (descent, "_weights", "0.5 * p - 1.0", "0.5 * p"),
    (descent, "_weights", "0.5 * p - 1.0", "p - 2.0"),
    (descent, "_weights", "magnitude / largest", "magnitude"),
    (descent, "_weights", "min=floor", "min=0.0"),
    (descent, "_step_length", "0.5 * (low + high)", "0.6 * low + 0.4 * high"),
    (descent, "_step_length", "(middle, high) if", "(low, middle) if not"),
    (descent, "_step_length", "e + middle * du, du", "e + 1.0005 * middle * du, du"),
    (descent, "_step_length", "1e-3 * high", "1e-2 * high"),
    # descent: what one step teaches the next
    (descent, "step", "promised=_promised(merit, e, path[-1])", "promised=_promised(merit, e, path[0])"),
    (descent, "step", "at_end=at_end", "at_end=best.value"),
    (descent, "step", "gained >= LITTLE", "gained >= 10.0 * LITTLE"),
    (descent, "step", "gained >= LITTLE", "gained >= 0.0"),
    (descent, "Control.learn", "2.0 * gain - 1.0", "2.0 * gain"),
    (descent, "Control.learn", "** 3", "** 2"),
    (descent, "Control.learn", "max(0.1,", "max(0.2,"),
    (descent, "Control.learn", "(value - at_end) / (value - promised)", "(value - promised) / (value - at_end)"),
    (descent, "Control.learn", "self.damping *= self.growth", "self.damping *= 2.0"),
    (descent, "Control.learn", "self.growth *= 2.0", "self.growth *= 3.0"),
    (descent, "Control.learn", "self.growth = 2.0", "pass"),
    (descent, "Control.lower_floor", "0.1 * self.floor", "0.2 * self.floor"),
    (descent, "Control.aim", "INNER_GROWTH_AT_END if at_end else INNER_GROWTH", "INNER_GROWTH"),
    (descent, "Control.aim", "FIRST_INNER_ITERATIONS // 2", "FIRST_INNER_ITERATIONS"),
    (descent, "Control.aim", "FORCING_SHARE * abs", "abs"),
    (descent, "Control.aim", "best.value - promised", "best.value"),
    (descent, "Control.aim", "if least > 0.1 else", "if least > 0.001 else"),
    # L-BFGS: the change of variables
    (lbfgs, "_Search.at", "start.memory.scales * step", "step"),
    (lbfgs, "_Search.slope_of", "state.value * self.start.memory.scales * flat", "state.value * flat"),
    (lbfgs, "_Search.slope_of", "state.value * self.start.memory.scales * flat", "-state.value * flat"),
    (lbfgs, "Pairs.direction", "float(s @ y) / float(y @ y)", "float(s @ s) / float(s @ y)"),
    (lbfgs, "Pairs.direction", "self.steps / math.sqrt(gamma)", "self.steps"),
    (lbfgs, "Pairs.direction", "-gamma * H", "-H"),
    (lbfgs, "Pairs.direction", "-gamma * H", "gamma * H"),
    (lbfgs, "Pairs.learnt", "[-most:], np", "[:most], np"),
    # Adam
    (adam, "Adam.update", "state.step + 1", "state.step + 2"),
    (adam, "adam_step", "(1.0 - beta1) * g", "g"),
    (adam, "adam_step", "beta2 * v", "beta1 * v"),
    (adam, "adam_step", "(g * g)", "xp.abs(g)"),
    (adam, "adam_step", "m / (1.0 - beta1**step)", "m"),
    (adam, "adam_step", "v / (1.0 - beta2**step)", "v"),
    (adam, "adam_step", "xp.sqrt(v_hat) + epsilon", "xp.sqrt(v_hat + epsilon)"),
    (adam, "adam_step", "theta - learning_rate", "theta + learning_rate"),
    (adam, "adam_step", "learning_rate * m_hat", "learning_rate * g"),
    # what carries a product from one of the above to the next
    (losses, "LpLoss.forward", "[0]", "[1]"),
    (losses, "LpLoss.jvp", "* e_dot", "* e"),
    (objectives, "Objective._pass", "u - self.target[block]", "self.target[block] - u"),
    (objectives, "Objective.evaluate", "- self.target", "+ self.target"),
    (objectives, "Objective.flatten", "for name in self", "for name in list(values) or self"),
    (objectives, "Objective.unflatten", "start = stop", "start = 0"),
    (network, "Network._wavenumbers", "self.scale * B", "B"),
    (network, "Network._wavenumbers", "self.scale * B", "1.0005 * self.scale * B"),
    (network, "Network.features", 'params["b"])', '-params["b"])'),
    (network, "Network.forward", 'fmap.forward(params["W1"]', '1.0005 * fmap.forward(params["W1"]'),
    (separable, "SeparableMap.forward", "W * features.amplitudes", "W"),
    (separable, "SeparableMap.forward", "Q -= ", "Q += "),
    (separable, "SeparableMap._column_factors", "K[:, -1:]", "K[:, :1]"),
    (separable, "SeparableMap._row_factors", "K.T, b", "K.T, -b"),
    (separable, "SeparableMap._row_factors", "cos_t - sin", "cos_t + sin"),
    (separable, "SeparableMap._row_factors", "cos_t + cos", "cos_t - cos"),
    (separable, "SeparableMap._step_factors", "self.steps @ K.T", "1.0005 * self.steps @ K.T"),
    (separable, "SeparableMap._product", ") @ column", ") @ (1.0005 * column)"),
    (separable, "SeparableMap._product", "row @ (", "1.0005 * row @ ("),
    (separable, "SeparableMap._join", "flip((P - Q)", "flip((P + Q)"),
    (separable, "SeparableMap._split", "right - left", "right + left"),
    (fft, "FFTMap.forward", "W *", "1.0005 * W *"),
    (gauss_newton, "_MatrixFree._square", "v * v", "abs(v)"),
    (descent, "_value", "objective.loss.forward", "1.0005 * objective.loss.forward"),
    (adam, "AdamState.zero", "zeros_like", "ones_like"),
]

WITHOUT = {
    "an interface, without a body": (
        *("base.FeatureMap.forward", "base.FeatureMap.jvp", "base.FeatureMap.vjp", "base.FeatureMap.name"),
        *("base.FeatureMap.n_points", "base.FeatureMap.grid_shape", "base.FeatureMap.shard"),
        *("descent.LinearModel.solve", "descent.Linearize.__call__"),
    ),
    "keeps what it is given": (
        *("dense.DenseMap.__init__", "linear.LinearMap.__init__", "separable.SeparableMap.__init__"),
        *("gauss_newton._MatrixFree.__init__", "jacobian.Jacobian.__init__"),
    ),
    "cuts points, features or rows into blocks, or puts them together again, whatever the blocks are": (
        *("dense.DenseMap._blocks", "fft.FFTMap._blocks", "fft.FFTMap._synthesize", "fft.FFTMap._analyze"),
        *("separable.SeparableMap._feature_blocks", "separable.SeparableMap._row_blocks", "separable._slices"),
        *("separable.SeparableMap._row_groups", "separable.SeparableMap._unit_blocks", "separable.SeparableMap._cut"),
        *("separable.SeparableMap._to_rows", "separable.SeparableMap._to_points", "separable.SeparableMap._empty"),
        "separable.SeparableMap._fixed_factors",
        *("network.point_blocks", "network.tile", "network.untile", "jacobian.Jacobian.map"),
    ),
    "lays out the points: tests/network/test_features.py compares them with the grid's own": (
        *("separable.SeparableMap.from_axes", "separable.SeparableMap.from_grid", "separable._rows"),
        "separable._divisor",
    ),
    "a size, a name or a choice and no formula": (
        *("network.Network.xp", "network.Network.depth", "network.Network.n_features", "network.Network.trainable"),
        "network.Network.__repr__",
        *("network.Network.n_parameters", "objective.Objective.xp", "objective.Objective.shard"),
        *("objective.Objective.is_overparameterized", "loss.LpLoss.__post_init__", "levenberg_marquardt.is_small"),
        *("levenberg_marquardt._elements", "levenberg_marquardt._identity"),
    ),
    "any scale gives the same loss but for overflow and lost digits: tests/optimizers/test_losses.py": (
        *("loss.LpLoss._at_largest", "loss.LpLoss.keeps_digits"),
    ),
    "one line around `backend.rms` or `Shard.sum`: tests/backend, backends/mpi/tests": (
        *("objective.Objective.rms", "objective.Objective.total"),
    ),
    "the start, the restart or the line search of a method: tests/optimizers, tests/test_stress.py": (
        *("adam.Adam.init", "adam.Adam.step", "adam.Adam.restart", "descent.init", "descent.restart"),
        *("gauss_newton.GaussNewton.init", "gauss_newton.GaussNewton.step", "gauss_newton.GaussNewton.restart"),
        *("levenberg_marquardt.LevenbergMarquardt.init", "levenberg_marquardt.LevenbergMarquardt.step"),
        *("levenberg_marquardt.LevenbergMarquardt.restart", "lbfgs.LBFGS.init", "lbfgs.LBFGS.step"),
        *("lbfgs.LBFGS.restart", "lbfgs.LBFGS._empty", "lbfgs.Pairs.forgotten", "lbfgs._nonfinite"),
        *("lbfgs._Search.__post_init__", "lbfgs._Search.height_at", "lbfgs._Search.slope_at", "lbfgs._Search.along"),
    ),
}
"""Functions of the modules above without a mutant, by the reason for which `simsnn_ref.verify` need not tell."""

REBUILT = (fft,)
"""Maps whose construction is a formula as well."""

UPDATES = (descent, gauss_newton, lbfgs)


def build():
    """Subjects that between them reach every function above, the quickest first, and all trajectories."""
    wanted = (
        "si, fft, 2-D, 2 layers, p = 10",
        "ffm, dense, 2-D, 3 layers, p = 10",
        "msnn, separable, 3-D, 2 layers, p = 10",
        "si, fft, 2-D, 2 layers, p = 3.5",
        "si, separable, 2-D, 2 layers, p = 10",
        "cos, separable, 2-D, 2 layers, p = 10",
        "si, fft, 2-D with ends, 1 layers, p = 10",
        "cos, dense, 2-D, 3 layers, p = 2",
        "si, fft, 2-D with ends, 2 layers, p = 10, extended",
        "none, linear, 2-D, 1 layers, p = 10",
    )
    found = {subject.name: subject for subject in subjects(NumpyBackend())}
    return [found[name] for name in wanted], list(trajectories(NumpyBackend()))


@pytest.fixture(scope="module")
def few():
    return build()


def failures(few, module=None):
    """Names of the checks that fail, of the first subject that has any; an error counts as one. None is built anew."""
    try:
        few_subjects, few_trajectories = build() if few is None else few
    except ConfigError as error:
        return [type(error).__name__]
    updates = [lambda one=one: [check_trajectory(one)] for one in few_trajectories]
    updates += [lambda: check_lbfgs(NumpyBackend()), lambda: check_spectral_weights(NumpyBackend())]
    networks = [lambda one=one: check_subject(one) for one in few_subjects]
    adams = [lambda: check_adam(NumpyBackend())]
    # The likeliest first: only the order of the same checks depends on the module.
    order = [*updates, *networks, *adams] if module in UPDATES else [*networks, *updates, *adams]
    try:
        for run in order:
            failed = [check.what for check in run() if not check.passed]
            if failed:
                return failed
    except (ValueError, IndexError, TypeError, AttributeError, ConfigError, np.linalg.LinAlgError) as error:
        return [type(error).__name__]
    return []


def test_nothing_fails_unbroken(few):
    assert failures(few) == []


def defined(module):
    """Names of the functions and methods that a module defines."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef))


def test_every_function_has_a_mutant_or_a_reason_for_none():
    """Neither more nor fewer: a new function is broken above or named, and so is one whose mutants are gone."""
    broken = {(module, name) for module, name, _, _ in MUTANTS}
    unbroken = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in {module for module, _ in broken}
        for name in defined(module)
        if (module, name) not in broken
    }
    argued = [name for names in WITHOUT.values() for name in names]
    assert sorted(argued) == sorted(unbroken)


def test_no_mutant_is_there_twice():
    assert len(set(map(identifier, MUTANTS))) == len(MUTANTS)


def functions_of(module):
    """Names of the functions and methods whose source stands in a module."""
    nodes = ast.parse(inspect.getsource(module)).body
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    names = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    return names + [f"{c.name}.{node.name}" for c in classes for node in c.body if isinstance(node, ast.FunctionDef)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("mutant", MUTANTS, ids=identifier)
def test_verify_kills(monkeypatch, few, mutant):
    plant(monkeypatch, mutant, "simsnn_ref")
    module, name, _, _ = mutant
    again = module in REBUILT and name.endswith("__init__")
    assert failures(None if again else few, module), f"survived: {identifier(mutant)}"
