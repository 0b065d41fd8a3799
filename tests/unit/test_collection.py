# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of this collection that no linter knows."""

from __future__ import annotations

import ast
import functools
import re
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
NAMESPACE = "quickpull.registry."
MODULE_FILES = sorted(ROOT.glob("plugins/modules/*.py"))
TARGET_FILES = [*MODULE_FILES, *sorted(ROOT.glob("plugins/module_utils/**/*.py"))]
DOCUMENTED_FILES = [*MODULE_FILES, *sorted(ROOT.glob("plugins/lookup/*.py")), *sorted(ROOT.glob("plugins/filter/*.y*ml"))]
ROLES = sorted(path for path in ROOT.glob("roles/*") if path.is_dir())
PYTHON_FILES = sorted(path for folder in ("plugins", "tests") for path in ROOT.glob(f"{folder}/**/*.py") if path.stat().st_size)
YAML_FILES = sorted(
    path
    for pattern in ("roles/**/*.y*ml", "playbooks/**/*.y*ml", "extensions/**/*.y*ml", "tests/**/*.y*ml", "meta/*.yml", "*.yml")
    for path in ROOT.glob(pattern)
)
# Keywords that stand beside the action in a task; what is left in a task is its action.
TASK_KEYWORDS = frozenset(
    """any_errors_fatal args async become become_exe become_flags become_method become_user changed_when check_mode collections
    connection debugger delay delegate_facts delegate_to diff environment failed_when ignore_errors ignore_unreachable listen loop
    loop_control module_defaults name no_log notify poll port register remote_user retries run_once tags throttle timeout until vars
    when block rescue always""".split()
)


# The parser in C says the same and takes a tenth of the time.
LOADER: t.Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def name_of(path: Path) -> str:
    """A readable id for a parametrized test."""
    return str(path.relative_to(ROOT))


def parse(text: str) -> t.Any:
    """What a YAML text holds."""
    return yaml.load(text, LOADER)


def load(path: Path) -> t.Any:
    """What a YAML file holds."""
    return parse(path.read_text(encoding="utf-8"))


@functools.cache
def constants(path: Path) -> dict[str, str]:
    """The string constants of a Python file, at its top and in its classes, by name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


@functools.cache
def documentation(module: str) -> dict[str, t.Any]:
    """The DOCUMENTATION of one of our modules, with the options of its fragments."""
    doc = parse(constants(ROOT / "plugins" / "modules" / f"{module}.py")["DOCUMENTATION"])
    options = dict(doc.get("options") or {})
    for fragment in doc.get("extends_documentation_fragment") or []:
        file, dummy, part = fragment.removeprefix(NAMESPACE).partition(".")
        source = constants(ROOT / "plugins" / "doc_fragments" / f"{file}.py")[part.upper() or "DOCUMENTATION"]
        options.update(parse(source).get("options") or {})
    return {**doc, "options": options}


def option_names(module: str) -> set[str]:
    """Names and aliases of a module's options."""
    options = documentation(module)["options"]
    return set(options) | {alias for option in options.values() for alias in option.get("aliases", [])}


def tasks_in(entries: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """All tasks of a list of tasks or plays, those in blocks too."""
    for entry in entries or []:
        if not isinstance(entry, dict):
            continue
        if "hosts" in entry:
            for section in ("pre_tasks", "tasks", "post_tasks", "handlers"):
                yield from tasks_in(entry.get(section))
        elif "block" in entry:
            for section in ("block", "rescue", "always"):
                yield from tasks_in(entry.get(section))
        else:
            yield entry


def action_of(task: t.Mapping[str, t.Any]) -> tuple[str, t.Any]:
    """The action of a task and its arguments."""
    found = [(key, value) for key, value in task.items() if key not in TASK_KEYWORDS and not key.startswith("with_")]
    assert len(found) == 1, f"not one action in {task}"
    return found[0]


def assert_known_options(task: t.Mapping[str, t.Any], where: str) -> None:
    """A task of ours uses options that its module has."""
    action, arguments = action_of(task)
    if not action.startswith(NAMESPACE):
        return
    module = action.removeprefix(NAMESPACE)
    assert (ROOT / "plugins" / "modules" / f"{module}.py").exists(), f"{where}: there is no module {action}"
    given = set(arguments or {}) | set(task.get("args") or {})
    assert given <= option_names(module), f"{where}: {action} has no option {sorted(given - option_names(module))}"


@pytest.mark.parametrize("path", [path for path in TARGET_FILES if "module_utils" in path.parts], ids=name_of)
def test_only_module_py_imports_ansible(path: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    of_ansible = {name for name in imported if name.split(".")[0] == "ansible"}
    assert path.name == "_module.py" or not of_ansible


@pytest.mark.parametrize("path", TARGET_FILES, ids=name_of)
def test_target_files_keep_to_the_grammar_of_python_3_8(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize("path", PYTHON_FILES, ids=name_of)
def test_python_files_start_alike(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    if path in MODULE_FILES:
        assert lines.pop(0) == "#!/usr/bin/python"
    assert re.match(r"# Copyright \(c\) 20\d\d, quickpull\.registry contributors$", lines[0])
    assert lines[1].startswith("# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or ")
    # In two pieces, because the licence checker would take it for this file's own line.
    assert lines[2] == "# SPDX-License-" + "Identifier: GPL-3.0-or-later"
    assert "\nfrom __future__ import annotations\n" in text


def test_laws_count_their_examples_from_the_profile() -> None:
    """A number of its own would be the same in `make check`, which has not the time."""
    own = re.compile(r"max_examples=(?!settings\(\)\.max_examples\b)")
    assert not [name_of(path) for path in ROOT.glob("tests/unit/plugins/**/*.py") if own.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_defaults_of_a_role_equal_its_argument_specs(role: Path) -> None:
    defaults = load(role / "defaults/main.yml") or {}
    specs = load(role / "meta/argument_specs.yml")["argument_specs"]
    for entry, spec in specs.items():
        documented = {name: option["default"] for name, option in spec.get("options", {}).items() if "default" in option}
        if entry == "main":
            assert documented == defaults
        assert documented.items() <= defaults.items(), entry
        required = {name for name, option in spec.get("options", {}).items() if option.get("required")}
        assert not required & set(defaults), entry


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_variables_of_a_role_carry_its_name(role: Path) -> None:
    defaults = load(role / "defaults/main.yml") or {}
    assert all(name.startswith(f"{role.name}_") for name in defaults)
    for path in role.glob("vars/*.yml"):
        internal = load(path) or {}
        assert all(name.startswith(f"__{role.name}_") for name in internal), path
    for path in [*role.glob("tasks/**/*.yml"), *role.glob("handlers/*.yml")]:
        for task in tasks_in(load(path)):
            names = [task["register"]] if "register" in task else []
            assert all(name.startswith(f"__{role.name}_") for name in names), path


@pytest.mark.parametrize(
    "path", [p for p in YAML_FILES if {"tasks", "handlers", "playbooks", "molecule"} & set(p.parts) and p.name != "molecule.yml"], ids=name_of
)
def test_tasks_use_options_that_the_modules_have(path: Path) -> None:
    loaded = load(path)
    for task in tasks_in(loaded if isinstance(loaded, list) else []):
        assert_known_options(task, name_of(path))


@pytest.mark.parametrize("path", YAML_FILES, ids=name_of)
def test_file_modes_are_quoted(path: Path) -> None:
    """An unquoted 0644 is the number 420 to one YAML reader and 644 to another."""

    def walk(node: yaml.Node | None) -> t.Iterator[yaml.ScalarNode]:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value in ("mode", "directory_mode") and isinstance(value, yaml.ScalarNode):
                    yield value
                yield from walk(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                yield from walk(value)

    text = path.read_text(encoding="utf-8")
    bare = [node.value for document in yaml.compose_all(text, LOADER) for node in walk(document) if node.style is None and node.value[:1].isdigit()]
    assert not bare


@pytest.mark.parametrize("path", DOCUMENTED_FILES, ids=name_of)
def test_examples_parse_and_use_full_names(path: Path) -> None:
    if path.suffix == ".py":
        text = constants(path)["EXAMPLES"]
    else:
        text = load(path)["EXAMPLES"]
    # Modules show tasks; a filter or lookup may also show an expression alone.
    if path.suffix == ".py":
        assert text.lstrip().startswith("---")
    tasks = list(tasks_in(parse(text)))
    assert tasks
    for task in tasks:
        assert task.get("name"), task
        action, dummy = action_of(task)
        assert action.count(".") >= 2, f"{action} is not a full name"
        assert_known_options(task, name_of(path))
    if path in MODULE_FILES:
        assert any(action_of(task)[0] == f"{NAMESPACE}{path.stem}" for task in tasks)


@pytest.mark.parametrize("path", MODULE_FILES, ids=name_of)
def test_modules_say_what_check_mode_and_diff_mode_do(path: Path) -> None:
    doc = documentation(path.stem)
    assert doc["module"] == path.stem
    fragments = set(doc.get("extends_documentation_fragment") or [])
    own = set(doc.get("attributes") or {})
    assert f"{NAMESPACE}attributes" in fragments
    assert f"{NAMESPACE}attributes.info_module" in fragments or {"check_mode", "diff_mode", "idempotent"} <= own
    for name, option in doc["options"].items():
        choices = option.get("choices")
        assert choices is None or list(choices) == sorted(choices), f"choices of {name} in alphabetical order"


def test_action_groups_are_complete() -> None:
    """The members of a group have options in common; whoever has these, and the group's name in its own, is a member."""
    runtime = load(ROOT / "meta/runtime.yml")
    modules = {path.stem for path in MODULE_FILES}
    for group, members in (runtime.get("action_groups") or {}).items():
        names = {member.removeprefix(NAMESPACE) for member in members if isinstance(member, str)}
        assert names <= modules, group
        common = set.intersection(*(option_names(name) for name in names))
        assert common, f"{group}: module_defaults for a group need options that all its modules have"
        assert names == {name for name in modules if name.startswith(f"{group}_") and common <= option_names(name)}, group


def test_one_version_everywhere() -> None:
    version = parse((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    added = {path.stem: documentation(path.stem).get("version_added") for path in MODULE_FILES}
    assert all(text and _numbers(text) <= _numbers(version) for text in added.values()), added
    changelog = ROOT / "changelogs/changelog.yaml"
    if changelog.exists():
        releases = parse(changelog.read_text(encoding="utf-8"))["releases"]
        assert max(releases, key=_numbers) == version


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_no_ignore_file_for_sanity() -> None:
    assert not list(ROOT.glob("tests/sanity/ignore*"))
