"""Reference cases: small networks with every number of their evaluation and training, for codes in other languages.

A folder of cases holds `manifest.json` and a safetensors file for each. All tensors are float64, C order.
What is given is drawn from raw bits; the rest is computed with mpmath in 50 digits and rounded right. No step of it is
the processor's or the C library's, so that the bytes are the same wherever they are made. With n points in d
dimensions, n_f features and L tanh layers:

    given      points (n, d) in [-1, 1]^d, target (n,), amplitudes (n_f,), B (n_b, d), b (n_f,), W1 (h_1, n_f), c1, ...
               v.<parameter>, w (n,)      a direction, and a cotangent
    forward    features (n_f, n)          gamma = A cos(K x + b), K = scale B (if paired, K = scale [B, B])
               z1 (h_1, n), z2, ...       pre-activations, z_{L+1} of shape (1, n)
               u (n,), loss ()            L = (1/n sum |u - t|^p)^(1/p)
    backward   grad.<parameter>           dL/dtheta
               Jv (n,), JTw.<parameter>   J v and J^T w, J = du/dtheta
               Hv.<parameter>             H v, H the Hessian of L
    updates    adam.<parameter>           after one step of Adam from zero means, see `ADAM`
               gauss_newton.<parameter>   d = argmin |J d + u - t|^2 + mu |d|^2, mu = `DAMPING` tr(J^T J) / P
               train.loss (steps,), train.<parameter>     losses before each step of Adam, and what they end at

Parameters in `frozen` do not train: they have no direction and no gradient. docs/reference-cases.md has all of this
for readers of other languages. The manifest gives for each case `scale`, `paired`, `p`, `hidden`, `parameters` and
`frozen`, and for each tensor its role (given, forward, backward, update), its shape, the bound on its own error,
relative to its 2-norm, and its sensitivity: by how much it changes when each given number is moved by half an eps and
everything is computed in 53 bits, the most of three times. Numbers whose terms cancel, and what a training ends with,
are no better determined than that.
"""

from simsnn_ref.verify.reference.cases import SETS, Case
from simsnn_ref.verify.reference.checking import check
from simsnn_ref.verify.reference.exact import ADAM, DAMPING
from simsnn_ref.verify.reference.writing import export

__all__ = ["ADAM", "DAMPING", "SETS", "Case", "check", "export"]
