"""Functions of the package with one piece of their source replaced."""

import inspect
import sys
import textwrap


def identifier(mutant):
    module, name, old, new = mutant
    return f"{module.__name__.rpartition('.')[2]}.{name}: {' '.join(old.split())} -> {' '.join(new.split())}"


def plant(monkeypatch, mutant, package):
    """Put the broken function in the place of the right one, wherever modules of `package` have imported it."""
    module, name, old, new = mutant
    owner = module
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    right = getattr(owner, last)
    source = textwrap.dedent(inspect.getsource(right))
    assert old in source, "the piece to break is no longer there"
    namespace = dict(vars(module))
    exec(compile(source.replace(old, new, 1), "<mutant>", "exec"), namespace)
    wrong = namespace[last]
    monkeypatch.setattr(owner, last, wrong)
    for other in [m for key, m in sys.modules.items() if key.startswith(f"{package}.")]:
        if getattr(other, last, None) is right:
            monkeypatch.setattr(other, last, wrong)
