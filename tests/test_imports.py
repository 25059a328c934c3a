"""What each module exports, and what others take of it; import-linter holds the order of the rooms."""

import ast
import importlib
from pathlib import Path

import pytest

import simsnn_ref

ROOT = Path(simsnn_ref.__file__).parent


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): ast.parse(path.read_text("utf-8")) for path in sorted(ROOT.rglob("*.py"))}
each_module = pytest.mark.parametrize("module", SOURCES)


def imports(tree):
    """Pairs of a module of this package and the name taken from it (None for the module itself), at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                head, _, tail = alias.name.partition(".")
                if head == ROOT.name:
                    yield tail, None
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            head, _, tail = node.module.partition(".")
            if head == ROOT.name:
                for alias in node.names:
                    inner = f"{tail}.{alias.name}".lstrip(".")
                    yield (inner, None) if inner in SOURCES else (tail, alias.name)


def exported(tree):
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["__all__"]:
            return ast.literal_eval(node.value)
    return []


def definitions(tree):
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def sorting_key(name):
    """Constants, classes, functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("module", [name for name in SOURCES if name.startswith("problems")])
def test_problems_know_nothing_of_networks(module):
    others = {other for other, _ in imports(SOURCES[module]) if not other.startswith("problems")}
    assert others <= {"backend", "errors", "spectrum"}


@each_module
def test_only_exported_names_are_imported_elsewhere(module):
    private = [
        f"{other}.{name}"
        for other, name in imports(SOURCES[module])
        if name is not None and name not in exported(SOURCES[other])
    ]
    assert not private


@each_module
def test_all_is_sorted_and_exists(module):
    names = exported(SOURCES[module])
    assert names == sorted(set(names), key=sorting_key)
    if module != "__main__":
        loaded = importlib.import_module(f"{ROOT.name}.{module}".rstrip("."))
        assert all(hasattr(loaded, name) for name in names)


@each_module
def test_public_names_have_a_docstring(module):
    tree = SOURCES[module]
    assert ast.get_docstring(tree)
    public = {name: node for name, node in definitions(tree).items() if name in exported(tree)}
    assert [name for name, node in public.items() if not ast.get_docstring(node)] == []


@each_module
def test_public_functions_and_classes_are_exported(module):
    tree = SOURCES[module]
    public = {name for name in definitions(tree) if not name.startswith("_")}
    assert public <= set(exported(tree))
