"""array-api-strict checks every operation, so that a training takes it ten times as long as NumPy: most are slow tests."""

import pytest

TRAININGS = ("test_200_steps_of_adam", "test_three_stages")
KEPT = ("[strict-2-10-trained-separable]", "[strict-1-2-frozen-fft]")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        name = getattr(item, "originalname", "")
        if name in TRAININGS and "[strict-" in item.name and not item.name.endswith(KEPT):
            item.add_marker(pytest.mark.slow)
