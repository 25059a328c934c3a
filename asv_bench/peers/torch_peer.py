"""The step in PyTorch: autograd on the CPU or on a GPU, gradients accumulated over blocks of points."""

import torch
from problem import Problem
from torch.nn.functional import linear


class Peer:
    def __init__(self, problem: Problem, chunk: int, *, device: str = "cpu", compiled: bool = False):
        self.p, self.n, self.depth = problem.p, len(problem.target), problem.depth
        self.device = device
        self.amplitudes = torch.from_numpy(problem.amplitudes).to(device)
        self.params = {
            name: torch.tensor(value, device=device, requires_grad=name not in problem.frozen)
            for name, value in problem.params.items()
        }
        points, target = torch.from_numpy(problem.points).to(device), torch.from_numpy(problem.target).to(device)
        self.blocks = list(zip(points.split(chunk), target.split(chunk), strict=True))
        self.description = f"{chunk} points at a time"
        if compiled:
            # A block of another size compiles by itself, where dynamic shapes would slow down all of them.
            self.power_sum = torch.compile(self.power_sum, dynamic=False)
            for x, t in (self.blocks[0], self.blocks[-1]):
                self.power_sum(x, t).backward()

    def network(self, x):
        P = self.params
        # The amplitudes join the few weights rather than the many features: one pass over the block less.
        z = linear(torch.cos(linear(x, P["B"], P["b"])), P["W1"] * self.amplitudes, P["c1"])
        for layer in range(2, self.depth + 2):
            z = linear(torch.tanh(z), P[f"W{layer}"], P[f"c{layer}"])
        return z[:, 0]

    def power_sum(self, x, t):
        return ((self.network(x) - t).abs() ** self.p).sum()

    def step(self):
        trainable = {name: value for name, value in self.params.items() if value.requires_grad}
        for value in trainable.values():
            value.grad = None
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        # |e|^p needs no scale: the target's RMS is 1, and in float64 |e|^10 is a number from 1e-30 to 1e30.
        for x, t in self.blocks:
            block_sum = self.power_sum(x, t)
            block_sum.backward()
            total += block_sum.detach()
        total = total.item()
        loss = (total / self.n) ** (1.0 / self.p)
        factor = loss / (self.p * total)
        grads = {name: factor * value.grad for name, value in trainable.items()}
        if self.device != "cpu":
            torch.cuda.synchronize()
        return loss, grads

    def to_host(self, gradient):
        return gradient.numpy(force=True)


class CompiledPeer(Peer):
    def __init__(self, problem: Problem, chunk: int, *, device: str = "cpu"):
        super().__init__(problem, chunk, device=device, compiled=True)
