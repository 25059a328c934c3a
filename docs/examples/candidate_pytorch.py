"""An implementation in PyTorch, checked: its tensors for every reference case, for `simsnn reference check`.

simsnn reference export reference
python docs/examples/candidate_pytorch.py reference candidate
simsnn reference check reference candidate --tolerance 1e-14

With --plant the phases are cut off from differentiation, a mistake that no value of the network shows: the check names
grad.b, the first tensor that is wrong.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch.func import grad, jvp, vjp

from simsnn_ref.io import read_tensors

torch.set_default_dtype(torch.float64)


def evaluate(case, given, theta, plant):
    """Pre-activations z_1 .. z_{L+1} and u, written as a user of PyTorch would."""
    points = given["points"]
    if "amplitudes" in given:
        K = case["scale"] * theta["B"]
        K = torch.cat([K, K]) if case["paired"] else K
        b = theta["b"].detach() if plant else theta["b"]
        gamma = given["amplitudes"][:, None] * torch.cos(K @ points.T + b[:, None])
    else:
        gamma = points.T
    z = [theta["W1"] @ gamma + theta["c1"][:, None]]
    for layer in range(2, len(case["hidden"]) + 2):
        z.append(theta[f"W{layer}"] @ torch.tanh(z[-1]) + theta[f"c{layer}"][:, None])
    return gamma, z


def tensors_of(case, given, theta, plant):
    """Everything that autograd gives."""
    names = [name for name in theta if name not in case["frozen"]]
    trained = {name: theta[name] for name in names}

    def u_of(values):
        return evaluate(case, given, theta | values, plant)[1][-1][0]

    def loss_of(values):
        e = (u_of(values) - given["target"]) / case["size"]
        return case["size"] * torch.mean(torch.abs(e) ** case["p"]) ** (1.0 / case["p"])

    gamma, z = evaluate(case, given, theta, plant)
    v = {name: given[f"v.{name}"] for name in names}
    _, Jv = jvp(u_of, (trained,), (v,))
    JTw = vjp(u_of, trained)[1](given["w"])[0]
    gradient = grad(loss_of)(trained)
    _, Hv = jvp(grad(loss_of), (trained,), (v,))
    found = {f"z{layer}": value for layer, value in enumerate(z, start=1)}
    if "amplitudes" in given:
        found["features"] = gamma
    found |= {"u": z[-1][0], "loss": loss_of(trained), "Jv": Jv}
    for kind, values in (("grad", gradient), ("JTw", JTw), ("Hv", Hv)):
        found |= {f"{kind}.{name}": values[name] for name in names}
    return {name: value.detach().numpy() for name, value in found.items()}


def main(folder, candidate, plant=False):
    """One .npz file for each case."""
    Path(candidate).mkdir(exist_ok=True)
    for case in json.loads((Path(folder) / "manifest.json").read_text())["cases"]:
        given = {name: torch.from_numpy(a) for name, a in read_tensors(Path(folder) / case["file"]).items()}
        theta = {name: given[name] for name in case["parameters"]}
        np.savez(Path(candidate) / f"{case['name']}.npz", **tensors_of(case, given, theta, plant))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", help="of the reference")
    parser.add_argument("candidate", help="folder to write")
    parser.add_argument("--plant", action="store_true", help="a mistake, to be found")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.candidate, arguments.plant)
