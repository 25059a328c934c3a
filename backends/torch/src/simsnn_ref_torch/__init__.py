"""The backend ``torch`` of `simsnn_ref`: PyTorch tensors on the CPU and on CUDA devices, no autograd."""

from simsnn_ref_torch.backend import TorchBackend

__all__ = ["TorchBackend"]
