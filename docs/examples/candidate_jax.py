"""An implementation in JAX, checked: its tensors for every reference case, for `simsnn reference check`.

simsnn reference export reference
python docs/examples/candidate_jax.py reference candidate
simsnn reference check reference candidate
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from simsnn_ref.storage import read_tensors

jax.config.update("jax_enable_x64", True)


def evaluate(case, given, theta):
    """Pre-activations z_1 .. z_{L+1} and u, written as a user of JAX would."""
    points = given["points"]
    if "amplitudes" in given:
        K = case["scale"] * theta["B"]
        K = jnp.concatenate([K, K]) if case["paired"] else K
        gamma = given["amplitudes"][:, None] * jnp.cos(K @ points.T + theta["b"][:, None])
    else:
        gamma = points.T
    z = [theta["W1"] @ gamma + theta["c1"][:, None]]
    for layer in range(2, len(case["hidden"]) + 2):
        z.append(theta[f"W{layer}"] @ jnp.tanh(z[-1]) + theta[f"c{layer}"][:, None])
    return gamma, z


def tensors_of(case, given, theta):
    """Everything that automatic differentiation gives."""
    names = list(theta)

    def u_of(values):
        return evaluate(case, given, values)[1][-1][0]

    def loss_of(values):
        e = (u_of(values) - given["target"]) / case["size"]
        return case["size"] * jnp.mean(e ** case["p"]) ** (1.0 / case["p"])

    gamma, z = evaluate(case, given, theta)
    v = {name: given[f"v.{name}"] for name in names}
    gradient = jax.grad(loss_of)
    found = {f"z{layer}": value for layer, value in enumerate(z, start=1)}
    if "amplitudes" in given:
        found["features"] = gamma
    found |= {"u": z[-1][0], "loss": loss_of(theta), "Jv": jax.jvp(u_of, (theta,), (v,))[1]}
    JTw = jax.vjp(u_of, theta)[1](given["w"])[0]
    Hv = jax.jvp(gradient, (theta,), (v,))[1]
    for kind, values in (("grad", gradient(theta)), ("JTw", JTw), ("Hv", Hv)):
        found |= {f"{kind}.{name}": values[name] for name in names}
    return {name: np.asarray(value) for name, value in found.items()}


def main(folder, candidate):
    """One .npz file for each case."""
    Path(candidate).mkdir(exist_ok=True)
    for case in json.loads((Path(folder) / "manifest.json").read_text())["cases"]:
        given = {name: jnp.asarray(a) for name, a in read_tensors(Path(folder) / case["file"]).items()}
        theta = {name[2:]: given[name[2:]] for name in given if name.startswith("v.")}
        np.savez(Path(candidate) / f"{case['name']}.npz", **tensors_of(case, given, theta))


if __name__ == "__main__":
    main(*sys.argv[1:])
