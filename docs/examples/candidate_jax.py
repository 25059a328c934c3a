"""An implementation in JAX, checked: its tensors for every reference case, for `simsnn reference check`.

simsnn reference export reference
python docs/examples/candidate_jax.py reference candidate
simsnn reference check reference candidate --tolerance 1e-14

With --plant the phases are cut off from differentiation, a mistake that no value of the network shows: the check names
grad.b, the first tensor that is wrong.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from simsnn_ref.io import read_tensors

jax.config.update("jax_enable_x64", True)


def evaluate(case, given, theta, plant):
    """Pre-activations z_1 .. z_{L+1} and u, written as a user of JAX would."""
    points = given["points"]
    if "amplitudes" in given:
        K = case["scale"] * theta["B"]
        K = jnp.concatenate([K, K]) if case["paired"] else K
        b = jax.lax.stop_gradient(theta["b"]) if plant else theta["b"]
        gamma = given["amplitudes"][:, None] * jnp.cos(K @ points.T + b[:, None])
    else:
        gamma = points.T
    z = [theta["W1"] @ gamma + theta["c1"][:, None]]
    for layer in range(2, len(case["hidden"]) + 2):
        z.append(theta[f"W{layer}"] @ jnp.tanh(z[-1]) + theta[f"c{layer}"][:, None])
    return gamma, z


def tensors_of(case, given, theta, plant):
    """Everything that automatic differentiation gives."""
    names = [name for name in theta if name not in case["frozen"]]
    trained = {name: theta[name] for name in names}

    def u_of(values):
        return evaluate(case, given, theta | values, plant)[1][-1][0]

    def loss_of(values):
        e = (u_of(values) - given["target"]) / case["size"]
        return case["size"] * jnp.mean(jnp.abs(e) ** case["p"]) ** (1.0 / case["p"])

    gamma, z = evaluate(case, given, theta, plant)
    v = {name: given[f"v.{name}"] for name in names}
    gradient = jax.grad(loss_of)
    found = {f"z{layer}": value for layer, value in enumerate(z, start=1)}
    if "amplitudes" in given:
        found["features"] = gamma
    found |= {"u": z[-1][0], "loss": loss_of(trained), "Jv": jax.jvp(u_of, (trained,), (v,))[1]}
    JTw = jax.vjp(u_of, trained)[1](given["w"])[0]
    Hv = jax.jvp(gradient, (trained,), (v,))[1]
    for kind, values in (("grad", gradient(trained)), ("JTw", JTw), ("Hv", Hv)):
        found |= {f"{kind}.{name}": values[name] for name in names}
    return found


def main(folder, candidate, plant=False):
    """One .npz file for each case."""
    Path(candidate).mkdir(exist_ok=True)
    for case in json.loads((Path(folder) / "manifest.json").read_text())["cases"]:
        given = {name: jnp.asarray(a) for name, a in read_tensors(Path(folder) / case["file"]).items()}
        theta = {name: given[name] for name in case["parameters"]}
        found = jax.jit(lambda given, theta, case=case: tensors_of(case, given, theta, plant))(given, theta)
        np.savez(Path(candidate) / f"{case['name']}.npz", **found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", help="of the reference")
    parser.add_argument("candidate", help="folder to write")
    parser.add_argument("--plant", action="store_true", help="a mistake, to be found")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.candidate, arguments.plant)
