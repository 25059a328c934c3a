"""The pages of derivations name the code that they derive, and the code is there."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text("utf-8") for path in sorted((ROOT / "docs" / "derivations").glob("*.md"))}
PLUGIN = "simsnn_ref_finufft"

NAME = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)`")

NAMED = [(page, name) for page, text in PAGES.items() for name in dict.fromkeys(NAME.findall(text))]


def resolve(name):
    """The object that `name` stands for; the longest part of it that is a module is imported."""
    parts = name.split(".")
    for stop in range(len(parts) - 1, 0, -1):
        module = ".".join(["simsnn_ref", *parts[:stop]])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            # Of a module that exists, the import of another one may have failed.
            if not f"{module}.".startswith(f"{error.name}."):
                raise
            continue
        for part in parts[stop:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def resolve_in_plugin(name):
    """Its definition in the plug-in's source, which cannot be imported without FINUFFT."""
    _, module, *path = name.split(".")
    found = ast.parse((ROOT / "backends" / "finufft" / "src" / PLUGIN / f"{module}.py").read_text("utf-8"))
    for part in path:
        found = {getattr(node, "name", None): node for node in found.body}[part]
    return found


@pytest.mark.parametrize(("page", "name"), NAMED)
def test_what_a_page_names_exists(page, name):
    assert resolve_in_plugin(name) if name.startswith(PLUGIN) else resolve(name)


@pytest.mark.parametrize(
    "name",
    [
        "network.layers.affine_vpj",
        "network.layer.affine_vjp",
        "network.network.Network.vpj",
        "network.features.fft.FFT.vjp",
    ],
)
def test_a_name_that_is_gone_is_noticed(name):
    with pytest.raises((AttributeError, ModuleNotFoundError)):
        resolve(name)


@pytest.mark.parametrize("name", ["workspace.Workspace.synthesise", "feature_map.Map.vjp"])
def test_a_name_that_is_gone_from_the_plugin_is_noticed(name):
    with pytest.raises(KeyError):
        resolve_in_plugin(f"{PLUGIN}.{name}")


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_listed(page):
    assert page == "README.md" or f"[{page}]({page})" in PAGES["README.md"]


def test_every_page_names_what_it_derives():
    assert {page for page, _ in NAMED} == set(PAGES)
