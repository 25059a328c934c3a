"""Every term of every hand-written derivative and update rule, broken in turn: `simsnn_ref.verify` must tell.

A mutant is one function of the package with one piece of its source replaced. A check that fails, or an error on the
way, kills it; one that survives is a term that nothing verifies.
"""

import inspect
import sys
import textwrap

import numpy as np
import pytest

from simsnn_ref import layers, losses, network
from simsnn_ref.backend import NumpyBackend
from simsnn_ref.features import base as features_base
from simsnn_ref.features import dense, fft, separable
from simsnn_ref.optimizers import adam, base, jacobian, levenberg_marquardt
from simsnn_ref.verify import check_adam, check_subject, subjects

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
    (layers, "affine_jvp", "W_dot @ h + ", ""),
    (layers, "affine_jvp", "+ W @ h_dot", "- W @ h_dot"),
    (layers, "affine_jvp", " + c_dot[:, None]", ""),
    (layers, "_slope", "1.0 + h", "1.0 - h"),
    (layers, "_slope", "slope = 1.0 - h", "slope = 1.0 - 1.0005 * h"),
    (layers, "tanh_vjp", "_slope(h) * dh", "dh"),
    (layers, "tanh_jvp", "_slope(h) * z_dot", "z_dot"),
    (layers, "tanh_forward", "xp.tanh(z)", "xp.tanh(1.0005 * z)"),
    # losses
    (losses, "LpLoss.forward", "/ math.prod(e.shape)", ""),
    (losses, "LpLoss.forward", "1.0 / self.p", "1.0005 / self.p"),
    (losses, "LpLoss.vjp", "self.p - 1.0)", "self.p)"),
    (losses, "LpLoss.vjp", "self.p - 1.0)", "self.p - 2.0)"),
    (losses, "LpLoss.vjp", "1.0 / self.p - 1.0", "1.0 / self.p"),
    (losses, "LpLoss.vjp", " / math.prod(e.shape))", ")"),
    (losses, "LpLoss.vjp", "xp.sign(r) * signed", "signed"),
    (losses, "LpLoss._power", "if exponent % 2 else", "if not exponent % 2 else"),
    (losses, "LpLoss.scaled", "self.p - 1.0)", "self.p)"),
    (losses, "LpLoss.scaled", "xp.sum(signed * r)", "1.0005 * xp.sum(signed * r)"),
    (losses, "LpLoss.finish", "1.0 / self.p - 1.0", "1.0 / self.p"),
    (losses, "LpLoss.finish", "scale * mean", "mean"),
    (base, "Objective.value_and_gradient", "factor * gradient", "gradient"),
    # network
    (network, "Network._tail_vjp", "params[W], h, dz", "params[W], h, 1.0005 * dz"),
    (network, "Network._tail_vjp", "hs[layer - 1]", "hs[max(layer - 2, 0)]"),
    (network, "Network._tail_vjp", "dz = tanh_vjp(h, dh)", "dz = dh"),
    (network, "Network._tail_vjp", 'grads["c1"] = xp.sum', 'grads["c1"] = 1.0005 * xp.sum'),
    (network, "Network._wavenumbers_vjp", "self.scale * ", ""),
    (network, "Network._wavenumbers_vjp", "dK[:n, :] + dK[n:, :]", "dK[:n, :] - dK[n:, :]"),
    (network, "Network._wavenumbers_vjp", "dK[:n, :] + dK[n:, :]", "dK[:n, :]"),
    (network, "Network.jvp", ' + params_dot["c1"][:, None]', ""),
    (network, "Network.jvp", "tanh_jvp(h, z_dot)", "z_dot"),
    (network, "Network.first_layer_jvp", "self._wavenumbers(B_dot)", "B_dot"),
    (network, "Network.first_layer_vjp", '"b": first.phases', '"b": -first.phases'),
    (network, "Network.slopes", "hs[layer - 1]", "hs[layer - 2]"),
    (network, "Network.slopes", "tanh_vjp(hs[layer - 1], ", "(1.0005 * "),
    # dense map
    (dense, "DenseMap.forward", "+ features.phases[:, None]", "- features.phases[:, None]"),
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
    (separable, "SeparableMap.vjp", "- Y_s @ sin", "+ Y_s @ sin"),
    (separable, "SeparableMap.vjp", "cosine_sum.T * A", "cosine_sum.T"),
    (separable, "SeparableMap.vjp", "db.append(-A", "db.append(A"),
    (separable, "SeparableMap.vjp", " + sine_offset_sum[:, None]", ""),
    (separable, "SeparableMap.vjp", "dK.append(-A", "dK.append(-1.0005 * A"),
    (separable, "SeparableMap._sine_sum", "+ cos * ", "- cos * "),
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
    # Adam
    (adam, "Adam.update", "1.0 - self.beta1**step", "1.0"),
    (adam, "Adam.update", "(1.0 - self.beta2**step) ** -0.5", "1.0"),
    (adam, "Adam.update", "state.step + 1", "state.step + 2"),
    (adam, "adam_step", "(1.0 - beta1) * g", "g"),
    (adam, "adam_step", "beta2 * v", "beta1 * v"),
    (adam, "adam_step", "(g * g)", "xp.abs(g)"),
    (adam, "adam_step", "xp.sqrt(v) + epsilon", "xp.sqrt(v + epsilon)"),
    (adam, "adam_step", "theta - mean_scale", "theta + mean_scale"),
    (adam, "adam_step", "mean_scale * m", "mean_scale * g"),
]


def identifier(mutant):
    module, name, old, new = mutant
    return f"{module.__name__.rpartition('.')[2]}.{name}: {old} -> {new}"


@pytest.fixture(scope="module")
def few():
    """Subjects that between them reach every function above, the quickest first."""
    wanted = (
        "si, fft, 2-D, 2 layers, p = 10",
        "ffm, dense, 2-D, 3 layers, p = 10",
        "msnn, separable, 3-D, 2 layers, p = 10",
        "si, fft, 2-D, 2 layers, p = 3.5",
        "si, separable, 2-D, 2 layers, p = 10",
        "si, fft, 2-D with ends, 1 layers, p = 10",
        "cos, dense, 2-D, 3 layers, p = 2",
    )
    found = {subject.name: subject for subject in subjects(NumpyBackend())}
    return [found[name] for name in wanted]


def failures(few):
    """Names of the checks that fail; an error counts as one."""
    try:
        for subject in few:
            failed = [check.what for check in check_subject(subject) if not check.passed]
            if failed:
                return failed
        return [check.what for check in check_adam(NumpyBackend()) if not check.passed]
    except (ValueError, IndexError, TypeError, np.linalg.LinAlgError) as error:
        return [type(error).__name__]


def test_nothing_fails_unbroken(few):
    assert failures(few) == []


def test_there_are_enough_and_none_twice():
    assert len(MUTANTS) >= 60
    assert len(set(map(identifier, MUTANTS))) == len(MUTANTS)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("mutant", MUTANTS, ids=identifier)
def test_verify_kills(monkeypatch, few, mutant):
    module, name, old, new = mutant
    owner = module
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    right = getattr(owner, last)
    source = textwrap.dedent(inspect.getsource(right))
    assert old in source, "the piece to break is no longer there"
    namespace = dict(vars(module))
    exec(compile(source.replace(old, new, 1), "<mutant>", "exec"), namespace)
    wrong = namespace[last]
    monkeypatch.setattr(owner, last, wrong)
    for other in [m for key, m in sys.modules.items() if key.startswith("simsnn_ref.")]:
        if getattr(other, last, None) is right:
            monkeypatch.setattr(other, last, wrong)
    assert failures(few), f"survived: {identifier(mutant)}"
