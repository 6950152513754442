"""The house stays as it was drawn: layers, sizes, names, and nothing of one machine in what others will clone."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = (
    "bank_adapters", "benchmarks", "calendars", "config", "entrypoints", "escrow", "jobs", "ledger", "migrations", "money",
    "reconciliation", "reports", "simulation", "storage", "supervision", "wording",
)  # fmt: skip
LONGEST_MODULE = 600


@cache
def tracked_files() -> tuple[Path, ...]:
    """What a clone gets; in an unpacked archive, which has no list of its own, every file outside caches."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return tuple(path for name in listed.stdout.split("\0") if name and (path := REPOSITORY / name).is_file())
    skipped = {".venv", ".git", "var", "__pycache__", ".hypothesis"}
    return tuple(p for p in REPOSITORY.rglob("*") if p.is_file() and not skipped.intersection(p.relative_to(REPOSITORY).parts))


def modules() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".py"]


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@cache
def project() -> dict[str, object]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def test_there_is_something_to_look_at() -> None:
    assert len(modules()) > 40


def test_a_layer_imports_only_layers_below_it() -> None:
    program = Path(sys.executable).with_name("lint-imports")

    result = subprocess.run([program, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout[result.stdout.find("Contracts") :]


def test_every_package_is_in_the_layers() -> None:
    contracts = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.importlinter]")[2]

    found = {path.relative_to(REPOSITORY).parts[0] for path in modules() if len(path.relative_to(REPOSITORY).parts) > 1}
    assert found - {"tests"} <= set(PACKAGES)
    assert [package for package in PACKAGES if f'"{package}"' not in contracts] == []


def test_modules_stay_small_enough_to_hold_in_the_mind() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}

    lengths.pop("reports/evidence/verify.py")  # one file by contract: strangers run it with nothing else
    too_long = {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE}
    # A migration is one piece of history, written once; it is not split afterwards.
    assert {name: lines for name, lines in too_long.items() if not name.startswith("migrations/versions/")} == {}


@pytest.mark.parametrize("word", ["util", "utils", "helper", "helpers", "common", "misc"])
def test_no_module_is_a_drawer(word: str) -> None:
    assert [name_of(path) for path in modules() if word in {*path.with_suffix("").parts[len(REPOSITORY.parts) :]}] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_tells_about_itself_on_one_page(package: str) -> None:
    page = REPOSITORY / package / "docs.md"

    assert page.is_file(), f"{package}/docs.md is missing"
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert 5 < len(text.splitlines()) <= 120


def test_every_module_says_what_it_is() -> None:
    import ast

    silent = []
    for path in modules():
        if path.relative_to(REPOSITORY).parts[0] == "tests" or path.name == "__init__.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not ast.get_docstring(tree):
            silent.append(name_of(path))
    assert silent == []


def test_the_lock_names_no_address() -> None:
    assert [line for line in (REPOSITORY / "requirements.lock").read_text().splitlines() if "://" in line] == []


def test_every_line_of_the_lock_is_pinned_by_hashes() -> None:
    text = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]

    assert len(lines) > 30
    assert [
        line[:60] for line in lines if not re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", line)
    ] == []


def test_the_lock_holds_every_direct_dependency() -> None:
    from importlib.metadata import version

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    locked = {
        canonicalize_name(name): pinned
        for name, pinned in re.findall(
            r"^([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==([^\s;\\]+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE
        )
    }
    described = project()["project"]
    assert isinstance(described, dict)
    wanted = [Requirement(text) for text in (*described["dependencies"], *described["optional-dependencies"]["test"])]
    builders = project()["build-system"]
    assert isinstance(builders, dict)
    wanted += [Requirement(text) for text in builders["requires"]]

    assert len(wanted) > 15
    for requirement in wanted:
        pinned = locked.get(canonicalize_name(requirement.name))
        assert pinned is not None, f"requirements.lock lacks {requirement.name}: make lock"
        assert requirement.specifier.contains(pinned), f"requirements.lock pins {requirement.name} {pinned}: make lock"
    assert locked["sqlalchemy"] == version("sqlalchemy"), "the environment is not the lock's: make setup"


#: Written in pieces, so that this list does not find itself.
FOREIGN = {
    "a package registry": "py" + r"pi\.org|pythonh"
    r"osted\.org|reg"
    r"istry\.npm" + r"js|deb\.deb" + r"ian\.org|index[-_]url\s*=",
    "a path of one machine": r"/work/(?!books)\w|/ro" + r"ot/|/home/[a-z]|/Us" + r"ers/",
    "a secret": r"-----BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_no_tracked_file_names(what: str) -> None:
    pattern = re.compile(FOREIGN[what])
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" in content[:1024]:
            continue
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{name_of(path)}:{number}: {line.strip()[:100]}")
    assert found == []


@pytest.mark.parametrize(
    ("layer", "reading"),
    [("bank_adapters", r"datetime\.now\(|date\.today\(|time\.time\("), ("ledger", r"datetime\.now\(|date\.today\("),
     ("escrow", r"datetime\.now\(|date\.today\("), ("reconciliation", r"datetime\.now\(|date\.today\("),
     ("jobs", r"datetime\.now\(|date\.today\("), ("reports", r"datetime\.now\(|date\.today\("),
     ("supervision", r"datetime\.now\(|date\.today\("), ("simulation", r"datetime\.now\(|date\.today\(")],
)  # fmt: skip
def test_the_clock_is_read_in_entrypoints_only(layer: str, reading: str) -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in modules()
        if path.relative_to(REPOSITORY).parts[0] == layer
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(reading, line)
    ]
    assert found == []


def test_the_program_starts_without_its_heavy_libraries() -> None:
    heavy = ("pandas", "sqlalchemy", "psycopg", "lxml", "alembic", "numpy", "pyarrow")
    code = f"import entrypoints.cli, sys; print([name for name in {heavy} if name in sys.modules])"

    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"


def test_ci_runs_the_readme_s_test_command() -> None:
    ci = REPOSITORY / ".ci" / "run"

    assert ci.stat().st_mode & 0o111
    assert "make test" in ci.read_text(encoding="utf-8")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert "make test" in readme
    assert "make demo" in readme
