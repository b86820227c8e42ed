"""An `__init__` only re-exports, and lists in order what it exports (after httpx's test)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = sorted(
    path
    for room in ("client", "service", "workers")
    for path in (ROOT / room / "packtrain").rglob("__init__.py")
)


def in_isort_order(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions: ruff's order of `__all__`."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("path", PACKAGES, ids=lambda p: str(p.relative_to(ROOT).parent))
def test_a_package_only_re_exports(path: Path) -> None:
    imported: set[str] = set()
    exported: list[str] = []
    docstring, *body = ast.parse(path.read_text()).body or [ast.Expr(ast.Constant(""))]
    assert isinstance(docstring, ast.Expr)
    for statement in body:
        if isinstance(statement, ast.ImportFrom):
            imported |= {alias.asname or alias.name for alias in statement.names}
        else:
            assert isinstance(statement, ast.Assign), ast.unparse(statement)
            assert ast.unparse(statement.targets[0]) == "__all__"
            exported = ast.literal_eval(statement.value)
    assert exported == sorted(exported, key=in_isort_order)
    assert len(exported) == len(set(exported))
    assert imported == set(exported)


def test_there_are_no_init_files_in_the_namespace() -> None:
    for room in ("client", "proto", "service", "workers"):
        assert not (ROOT / room / "packtrain" / "__init__.py").exists()
