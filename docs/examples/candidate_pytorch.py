"""An implementation in PyTorch, checked: its tensors for every reference case, for `simsnn reference check`.

simsnn reference export reference
python docs/examples/candidate_pytorch.py reference candidate
simsnn reference check reference candidate
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch.func import functional_call, grad, jvp, vjp  # noqa: F401

from simsnn_ref.storage import read_tensors

torch.set_default_dtype(torch.float64)


def evaluate(case, given, theta):
    """Pre-activations z_1 .. z_{L+1} and u, written as a user of PyTorch would."""
    points = given["points"]
    if "amplitudes" in given:
        K = case["scale"] * theta["B"]
        K = torch.cat([K, K]) if case["paired"] else K
        gamma = given["amplitudes"][:, None] * torch.cos(K @ points.T + theta["b"][:, None])
    else:
        gamma = points.T
    z = [theta["W1"] @ gamma + theta["c1"][:, None]]
    for layer in range(2, len(case["hidden"]) + 2):
        z.append(theta[f"W{layer}"] @ torch.tanh(z[-1]) + theta[f"c{layer}"][:, None])
    return gamma, z


def tensors_of(case, given, theta):
    """Everything that autograd gives."""
    names = list(theta)

    def u_of(values):
        return evaluate(case, given, values)[1][-1][0]

    def loss_of(values):
        e = (u_of(values) - given["target"]) / case["size"]
        return case["size"] * torch.mean(e ** case["p"]) ** (1.0 / case["p"])

    gamma, z = evaluate(case, given, theta)
    v = {name: given[f"v.{name}"] for name in names}
    _, Jv = jvp(u_of, (theta,), (v,))
    JTw = vjp(u_of, theta)[1](given["w"])[0]
    gradient = grad(loss_of)(theta)
    _, Hv = jvp(grad(loss_of), (theta,), (v,))
    found = {f"z{layer}": value for layer, value in enumerate(z, start=1)}
    if "amplitudes" in given:
        found["features"] = gamma
    found |= {"u": z[-1][0], "loss": loss_of(theta), "Jv": Jv}
    for kind, values in (("grad", gradient), ("JTw", JTw), ("Hv", Hv)):
        found |= {f"{kind}.{name}": values[name] for name in names}
    return {name: value.detach().numpy() for name, value in found.items()}


def main(folder, candidate):
    """One .npz file for each case."""
    Path(candidate).mkdir(exist_ok=True)
    for case in json.loads((Path(folder) / "manifest.json").read_text())["cases"]:
        given = {name: torch.from_numpy(a) for name, a in read_tensors(Path(folder) / case["file"]).items()}
        names = [name[2:] for name in given if name.startswith("v.")]
        theta = {name: given[name] for name in names}
        np.savez(Path(candidate) / f"{case['name']}.npz", **tensors_of(case, given, theta))


if __name__ == "__main__":
    main(*sys.argv[1:])
