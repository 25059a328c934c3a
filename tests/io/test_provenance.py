"""Where a result came from: the commit is that of the source tree, wherever the module stands in it."""

import shutil
import subprocess
from pathlib import Path

import pytest

import simsnn_ref
from simsnn_ref.io import git_commit

ROOT = Path(simsnn_ref.__file__).parents[1]


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="no source tree under git")
def test_the_commit_is_that_of_the_source_tree():
    head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert git_commit() in (head.stdout.strip(), f"{head.stdout.strip()}-dirty")
