"""The engine on PyTorch against `simsnn_ref.paper` on PyTorch: the same tensors through both."""

import pytest
from paper.engine_comparison import EngineAgainstPaper

pytest.importorskip("torch", reason="PyTorch is not installed")
plugin = pytest.importorskip("simsnn_ref_torch.backend", reason="the PyTorch plug-in is not installed")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.needs_backend("torch:cuda"))])
def backend(request):
    return plugin.TorchBackend(request.param)


class TestEngine(EngineAgainstPaper):
    """On the CPU, and on a GPU if there is one."""
