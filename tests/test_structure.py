"""The structure of the package: few parameters, names that are used once, and no number of components as a literal."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PACKAGE = TESTS.parent / "mmtjax"

MOST_PARAMETERS = 7

#: Functions with more parameters, all of them keywords of a public function.
MANY_PARAMETERS = {
    "io/matrix.py:read_matrix": "a bare matrix states no unit, spacing, height, origin and side; a user gives each",
    "io/netcdf.py:read_netcdf": "a file may lack unit, spacing, height, origin, side, or sense of the mask",
    "registration/registration.py:fit_registration": "a public function; its own options and those of an inversion",
    "subdomains/invert.py:invert_subdomains": "a public function; its own options and those of an inversion",
}

#: Names of modules that neighbouring folders share because they mean the same in each.
SHARED_NAMES = {
    "__init__": "required by Python",
    "base": "the abstract class of the folder",
    "batch": "several problems in one call: inversions in inversion/, samples of a model in study/",
    "config": "the configuration of a study and of a design",
    "cuboids": "the cuboids of grains, and the reader of their file",
    "grains": "the grains, and the reader of their files",
    "invert": "the function that inverts, as a whole or by windows, and its command",
    "memory": "the memory that an inversion, windows and a command need",
    "options": "options as a value or as fields, and the options of an inversion, which are the first of them",
    "problem": "the problem that a design or windows solve",
    "registration": "the fit of the geometry, and its option of a command",
    "sharded": "operators whose rows are divided over devices, and the algebra of such rows",
    "threshold": "the study of a threshold, and its command",
}

#: Folders in which the number of components comes from the sources, and files with other literals 3, with their number.
WITHOUT_LITERAL = ("field", "greens", "inversion", "estimators", "solvers", "uncertainty")
LITERALS = {
    "inversion/batch.py": (1, "copies of the normal matrices that are in memory at once"),
    "inversion/memory.py": (1, "bytes of the overhead of JAX, three quarters of a GiB"),
    "estimators/least_squares.py": (1, "steps of refinement of a traced solution"),
}

#: Parts of names that stand for something that has a name of its own, see the style of the project.
METAPHORS = {
    "alike", "approach", "asked", "climb", "crew", "crowd", "decided", "freeze", "frozen", "heard", "held", "judge",
    "mosaic", "pullback", "pull_back", "in_words", "thaw", "told", "way",
}  # fmt: skip


def parsed(package: Path) -> dict[str, ast.Module]:
    """Return the syntax tree of each file, by its path relative to the package."""
    return {
        file.relative_to(package).as_posix(): ast.parse(file.read_text(encoding="utf-8"))
        for file in sorted(package.rglob("*.py"))
    }


def many_parameters(package: Path) -> set[str]:
    """Return the functions with more than 7 parameters, self and cls not counted, as ``file:function``."""
    found = set()
    for file, tree in parsed(package).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                if sum(one.arg not in ("self", "cls") for one in arguments) > MOST_PARAMETERS:
                    found.add(f"{file}:{getattr(node, 'name', 'lambda')}")
    return found


def repeated_classes(package: Path) -> dict[str, list[str]]:
    """Return names that more than one class has, a leading underscore not counted, with the files of these classes."""
    places = defaultdict(list)
    for file, tree in parsed(package).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(file)
    return {name: files for name, files in places.items() if len(files) > 1}


def shared_names(package: Path) -> set[str]:
    """Return names of modules that occur in two folders of which one contains the other, or which lie in the same."""
    folders = defaultdict(list)
    for file in sorted(package.rglob("*.py")):
        folders[file.stem].append(file.parent)
    return {
        name
        for name, places in folders.items()
        if any(
            one.parent == other.parent or one == other.parent or other == one.parent
            for one, other in combinations(places, 2)
        )
    }


def literal_threes(package: Path) -> dict[str, int]:
    """Return how often files use the number 3, other than in an exponent, in the folders without such literals."""
    counts: Counter[str] = Counter()
    for file, tree in parsed(package).items():
        if file.partition("/")[0] not in WITHOUT_LITERAL:
            continue
        powers = [node for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)]
        allowed = {id(part) for power in powers for part in ast.walk(power.right)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and type(node.value) is int and node.value == 3:
                counts[file] += id(node) not in allowed
    return {file: count for file, count in counts.items() if count}


def defined_names(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a file defines: functions, classes, parameters, variables, attributes, aliases."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname is not None:
            yield node.asname


def has_metaphor(name: str) -> bool:
    """Return whether a name in snake case or camel case contains one of the metaphors as a word."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return any(f"_{metaphor}_" in f"_{words}_" for metaphor in METAPHORS)


def metaphors(package: Path) -> set[str]:
    """Return the files and the names defined in them that contain a metaphor, as ``file`` or ``file:name``."""
    found = set()
    for file, tree in parsed(package).items():
        if any(has_metaphor(part) for part in Path(file).with_suffix("").parts):
            found.add(file)
        found |= {f"{file}:{name}" for name in defined_names(tree) if has_metaphor(name)}
    return found


def test_functions_have_few_parameters():
    assert many_parameters(PACKAGE) == set(MANY_PARAMETERS)


def test_every_class_has_a_name_of_its_own():
    assert repeated_classes(PACKAGE) == {}


def test_modules_of_neighbouring_folders_share_a_name_only_if_they_mean_the_same():
    assert shared_names(PACKAGE) == set(SHARED_NAMES)


def test_no_number_of_components_is_a_literal():
    assert literal_threes(PACKAGE) == {file: count for file, (count, _) in LITERALS.items()}


def test_names_are_no_metaphors():
    assert metaphors(PACKAGE) == set()
    assert not [file.name for file in TESTS.rglob("*.py") if has_metaphor(file.stem)]


PLANTED = {
    "parameters": (
        many_parameters,
        {"a.py": "class A:\n def f(self, a, b, c, d, /, e, *, f, g): 0\n def g(a, b, c, d, e, *, f, g, h): 0\n"},
        {"a.py:g"},
    ),
    "classes": (
        repeated_classes,
        {"a.py": "class A: 0\nclass B: 0\n", "b/c.py": "def f():\n class _A: 0\n"},
        {"A": ["a.py", "b/c.py"]},
    ),
    "modules": (
        shared_names,
        dict.fromkeys(["a.py", "b.py", "x/a.py", "x/c.py", "y/c.py", "x/z/b.py", "x/z/d.py", "y/d.py"], ""),
        {"a", "c"},
    ),
    "literals": (
        literal_threes,
        {"field/a.py": "x = y.reshape(-1, 3) ** 3 + 1 ** (1 / 3) + 3.0 + '3'[3]\n", "io/a.py": "x = 3\n"},
        {"field/a.py": 2},
    ),
    "metaphors": (
        metaphors,
        {
            "judge.py": "",
            "a.py": "class TheCrew: 0\ndef f(told, *, crowded, withheld, kind=g(frozen=True)):\n held_x = 1\n",
        },
        {"judge.py", "a.py:TheCrew", "a.py:told", "a.py:held_x"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_violation_is_found(case, tmp_path):
    function, files, expected = PLANTED[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert function(tmp_path) == expected
