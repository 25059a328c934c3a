"""The step in JAX: value_and_grad under jit in float64, accumulated over blocks of points."""

import jax
import jax.numpy as jnp
import numpy as np
from problem import Problem

jax.config.update("jax_enable_x64", True)


def network(params, amplitudes, x, depth):
    # The amplitudes join the few weights rather than the many features: one pass over the block less.
    z = jnp.cos(x @ params["B"].T + params["b"]) @ (params["W1"] * amplitudes).T + params["c1"]
    for layer in range(2, depth + 2):
        z = jnp.tanh(z) @ params[f"W{layer}"].T + params[f"c{layer}"]
    return z[:, 0]


class Peer:
    def __init__(self, problem: Problem, chunk: int):
        self.p, self.n = problem.p, len(problem.target)
        amplitudes = jnp.asarray(problem.amplitudes)
        frozen = {name: jnp.asarray(problem.params[name]) for name in problem.frozen}
        self.params = {name: jnp.asarray(value) for name, value in problem.params.items() if name not in frozen}
        starts = range(0, self.n, chunk)
        self.blocks = [
            (jnp.asarray(problem.points[i : i + chunk]), jnp.asarray(problem.target[i : i + chunk])) for i in starts
        ]
        self.description = f"{chunk} points at a time"

        def power_sum(params, x, t):
            return jnp.sum(jnp.abs(network(params | frozen, amplitudes, x, problem.depth) - t) ** problem.p)

        def accumulate(sums, params, x, t):
            return jax.tree.map(jnp.add, sums, jax.value_and_grad(power_sum)(params, x, t))

        jitted = jax.jit(accumulate, donate_argnums=0)
        shapes = {x.shape: (x, t) for x, t in (self.blocks[0], self.blocks[-1])}
        self.accumulate = {
            shape: jitted.lower(self.zeros(), self.params, x, t).compile() for shape, (x, t) in shapes.items()
        }

    def zeros(self):
        return jnp.zeros(()), jax.tree.map(jnp.zeros_like, self.params)

    def step(self):
        sums = self.zeros()
        # |e|^p needs no scale: the target's RMS is 1, and in float64 |e|^10 is a number from 1e-30 to 1e30.
        for x, t in self.blocks:
            sums = self.accumulate[x.shape](sums, self.params, x, t)
        total, grads = sums
        loss = (total / self.n) ** (1.0 / self.p)
        factor = loss / (self.p * total)
        return jax.block_until_ready((loss, jax.tree.map(lambda grad: factor * grad, grads)))

    def to_host(self, gradient):
        return np.asarray(gradient)
