# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the checks of this collection and counts them: the table CHECKS says what there is.

    python tests/run.py                  everything (``make test``)
    python tests/run.py --fast           what takes seconds (``make check``)
    python tests/run.py sanity docs      the named ones
    python tests/run.py --list           what there is

Checks that need no lab run side by side while the labs are brought up; those on a lab follow, on two labs side by side, on
each one at a time. Output goes to .cache/logs/NAME.log; the end of it is shown when a check fails.
The last line is ``N passed, N failed``: pytest's counts, and one for each other check.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import fcntl
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
LOGS = CACHE / "logs"
PYTHONS = CACHE / "pythons"
BIN = Path(sys.executable).parent
# Collection roots must end like this for ansible-test, and it wants a real folder, not a link.
EXPORT = CACHE / "ansible_collections" / "quickpull" / "registry"
LAB = [sys.executable, "tests/lab/lab.py"]
TARGET_PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
# With --fast, hypothesis tries each law with a quarter of the examples that it gets otherwise (tests/unit/conftest.py).
EXAMPLES_IF_FAST = "25"
# So that a hung check does not hang the others; the whole is meant to take less than 20 minutes.
TIMEOUT = 1500
# What pip says at length does not help whoever looks for the reason of a failure.
NOISE = re.compile(
    r"\s*(Collecting|Downloading|Processing|Using cached|Looking in|Attempting un|Found existing|Uninstalling|Successfully|Installing|━|WARNING: Location)"
)


@dataclasses.dataclass(frozen=True)
class Check:
    """One row of the table.

    ``command`` is an argument list, or a function that gets the log and returns whether all is well;
    ``{export}`` stands for the exported tree. ``needs`` is ``source`` (the clone), ``export`` (a copy of it, as ansible-test
    and friends want it) or ``lab`` (the hosts of tests/lab). ``lab`` says on which of the labs it runs, by its name, and is set when it begins.
    """

    name: str
    command: list[str] | t.Callable[[Log], bool]
    needs: str = "source"
    lab: str = ""
    fast: bool = False
    pytest: bool = False
    env: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Outcome:
    """What became of a check: counts, seconds, and in ``missing`` what this machine cannot run."""

    name: str
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    missing: list[str] = dataclasses.field(default_factory=list)


class Log:
    """Runs commands with their output in one file, from the folder and with the environment of its check."""

    def __init__(self, check: Check) -> None:
        self.path = LOGS / f"{check.name}.log"
        self.cwd = EXPORT if check.needs == "export" else ROOT
        self.env = environment(check)
        self.missing: list[str] = []
        self.nothing_run = False
        self.path.write_text("", encoding="utf-8")

    def write(self, text: str) -> None:
        """Append a line of our own."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(f"{text}\n")

    def run(self, *command: str, env: t.Mapping[str, str] | None = None) -> int:
        """Run a command to its end and return its exit code (124 after TIMEOUT seconds)."""
        self.write("$ " + " ".join(command))
        with self.path.open("ab") as stream:
            try:
                return subprocess.run(
                    command,
                    cwd=self.cwd,
                    env={**self.env, **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    timeout=TIMEOUT,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                self.write(f"still running after {TIMEOUT} s: killed")
                return 124
            except OSError as exc:
                self.write(str(exc))
                return 127

    def text(self) -> str:
        """Everything the check has printed."""
        return self.path.read_text(encoding="utf-8", errors="replace")


def environment(check: Check) -> dict[str, str]:
    """The environment of a check: the virtual environment first, ansible's own state in a folder of the check."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "MOLECULE_", "PYTEST_"))}
    # Bytecode goes to .cache/pyc. Where it may not be written, every single process compiles all of ansible-core anew.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    # pyenv's shims pretend to be Pythons that are not there: ansible-test would believe them.
    path = [entry for entry in env.get("PATH", os.defpath).split(os.pathsep) if not entry.endswith("/shims")]
    env.update(
        PATH=os.pathsep.join([str(BIN), str(PYTHONS), *path]),
        ANSIBLE_HOME=str(CACHE / "home" / check.name),
        ANSIBLE_COLLECTIONS_PATH=str(CACHE if check.needs == "export" else CACHE / "collections"),
        PYTHONPATH=str(ROOT / "tests"),  # for the package lab
        PYTHONPYCACHEPREFIX=str(CACHE / "pyc"),
        HYPOTHESIS_STORAGE_DIRECTORY=str(CACHE / "hypothesis"),
        NO_COLOR="1",
        ANSIBLE_NOCOLOR="1",
        COLUMNS="160",
    )
    if check.needs == "lab":
        env["QUICKPULL_LAB_NAME"] = check.lab
    env.update(check.env)
    return env


# --- what is prepared before the checks ---------------------------------------------------------------------------


def find_pythons() -> dict[str, str]:
    """Real interpreters of the target versions, version -> path, as links in .cache/pythons for ansible-test."""
    found: dict[str, str] = {}
    pyenv = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"
    for version in TARGET_PYTHONS:
        candidates = [shutil.which(f"python{version}"), *sorted(map(str, pyenv.glob(f"{version}.*/bin/python{version}")))]
        for candidate in filter(None, candidates):
            real = _real_python(candidate, version)
            if real:
                found[version] = real
                break
    shutil.rmtree(PYTHONS, ignore_errors=True)
    PYTHONS.mkdir(parents=True)
    for version, path in found.items():
        (PYTHONS / f"python{version}").symlink_to(path)
    return found


def _real_python(candidate: str, version: str) -> str | None:
    """The file behind a name, unless it is a shim, broken, or another version; never this virtual environment's."""
    code = "import os, sys; print('%d.%d' % sys.version_info[:2], os.path.join(sys.base_prefix, 'bin', 'python%d.%d' % sys.version_info[:2]))"
    done = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    says, dummy, path = done.stdout.strip().partition(" ")
    return path if done.returncode == 0 and says == version and Path(path).exists() else None


def export_tree() -> None:
    """Copy what git knows, and what it does not know yet, to EXPORT, and make that a repository for ansible-test."""
    shutil.rmtree(EXPORT, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    for name in sorted(filter(None, set(listed))):
        source, target = ROOT / name, EXPORT / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    subprocess.run(["git", "init", "-q"], cwd=EXPORT, check=True)
    subprocess.run(["git", "add", "--all"], cwd=EXPORT, check=True)


# ansible-test fetches get-pip.py from the internet. This stands in for it: pip from Python itself, then what was asked.
GET_PIP = """\
import os
import subprocess
import sys

env = {key: value for key, value in os.environ.items() if key != "GET_PIP"}
wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip"], env=env, stdout=subprocess.DEVNULL)
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install"] + wanted, env=env))
"""


def ansible_test_home(python: Path) -> Path:
    """A home folder for ansible-test under .cache, where its environments last and its get-pip.py is ours.

    The versions it looks for are in the source of the ansible-core that belongs to ``python``.
    """
    home = CACHE / "at"  # short: its environments' scripts carry the whole path in a line of at most 127 characters
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for source in python.parent.parent.glob("lib/python3*/site-packages/ansible_test/_internal/python_requirements.py"):
        for version in re.findall(r"pip='([0-9.]+)'", source.read_text(encoding="utf-8")):
            (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP, encoding="utf-8")
    # The user's pip settings (an index of the company's, a cache) still count.
    for own in (".config/pip", ".pip", ".cache/pip"):
        real, link = Path.home() / own, home / own
        if real.exists() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(real)
    return home


def other_venv(name: str, group: str, oldest: str, newest: str, log: Log) -> Path | None:
    """The Python of another virtual environment (tests/venv.sh), or None when this machine has no Python for it."""
    code = log.run(str(ROOT / "tests" / "venv.sh"), name, group, oldest, newest)
    if code == 3:
        log.missing.append(f"no Python from {oldest} to {newest} on this machine")
        log.nothing_run = True
    return CACHE / name / "bin" / "python" if code == 0 else None


# --- checks that are more than a command --------------------------------------------------------------------------


def check_compile(log: Log) -> bool:
    """Byte-compile what runs on hosts with every target Python that is here."""
    good = True
    for version, path in find_pythons_once().items():
        code = log.run(path, "-m", "compileall", "-q", "plugins/modules", "plugins/module_utils", env={"PYTHONPYCACHEPREFIX": str(CACHE / "pyc")})
        good = good and code == 0
        log.write(f"Python {version}: exit code {code}")
    absent = [version for version in TARGET_PYTHONS if version not in find_pythons_once()]
    log.missing += [f"Python {', '.join(absent)}: not on this machine"] if absent else []
    return good


_PYTHONS: dict[str, str] = {}


def find_pythons_once() -> dict[str, str]:
    """As find_pythons, which is asked once per run (before the checks start)."""
    if not _PYTHONS:
        _PYTHONS.update(find_pythons())
    return _PYTHONS


def ansible_test(log: Log, python: Path, *arguments: str) -> bool:
    """Run ``ansible-test sanity`` of the ansible-core that belongs to ``python``."""
    path = os.pathsep.join([str(python.parent), *log.env["PATH"].split(os.pathsep)])
    env = {"HOME": str(ansible_test_home(python)), "PATH": path}
    code = log.run(str(python), str(python.parent / "ansible-test"), "sanity", "--color", "no", *arguments, env=env)
    return code == 0


def check_sanity(log: Log) -> bool:
    """All of sanity; compile, import and validate-modules on every target Python that is here."""
    good = ansible_test(log, BIN / "python")
    log.missing += sorted(set(re.findall(r"WARNING: (Skipping .*|Required program .* not found.*)", log.text())))
    return good


def other_core(name: str, group: str, oldest: str, newest: str) -> t.Callable[[Log], bool]:
    """Sanity as another ansible-core sees it: what it reads of a module is its own."""

    def check(log: Log) -> bool:
        python = other_venv(name, group, oldest, newest, log)
        if python is None:
            return log.nothing_run
        version = subprocess.run(
            [str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], check=True, capture_output=True, text=True
        ).stdout.strip()
        return ansible_test(log, python, "--test", "validate-modules", "--test", "pylint", "--python", version, "plugins/")

    return check


def check_page(log: Log) -> bool:
    """The report's page in a real browser; where none can be had it is not run."""
    code = log.run(*pytest_command("page", "tests/page"))
    passed, failed, skipped = pytest_counts(LOGS / "page.xml")
    log.nothing_run = code == 0 and skipped > 0 and not passed and not failed
    return code == 0


def check_importer(log: Log) -> bool:
    """Build the collection as it would be published, and import it as Galaxy does, without a warning."""
    shutil.rmtree(CACHE / "build", ignore_errors=True)
    if log.run(str(BIN / "ansible-galaxy"), "collection", "build", "--force", "--output-path", str(CACHE / "build")) != 0:
        return False
    python = other_venv("importer", "importer", "3.11", "3.13", log)
    archive = next((CACHE / "build").glob("*.tar.gz"))
    if python is None:
        return log.nothing_run
    path = os.pathsep.join([str(python.parent), log.env["PATH"]])
    code = log.run(str(python), "-m", "galaxy_importer.main", str(archive), env={"PATH": path})
    complaints = [line for line in log.text().splitlines() if re.match(r"\W*(WARNING|ERROR|CRITICAL)\b", line)]
    for line in complaints:
        log.write(f"not without a warning: {line}")
    return code == 0 and not complaints


def check_lint(log: Log) -> bool:
    """ansible-lint in its strictest profile; a copy of the collection left by another tool would shadow the tree."""
    shutil.rmtree(Path(log.env["ANSIBLE_HOME"]), ignore_errors=True)
    return log.run(str(BIN / "ansible-lint"), "--profile", "production", "--offline", "--strict") == 0


def lab_up(log: Log) -> bool:
    """Bring the hosts up, or find them up."""
    return log.run(*LAB, "up") == 0


def python_tool(name: str, *arguments: str) -> list[str]:
    """A tool of this virtual environment, without trusting PATH."""
    return [str(BIN / name), *arguments]


def lab_tests() -> t.Iterator[Check]:
    """One check for each file of tests on real hosts."""
    for path in sorted(ROOT.glob("tests/lab/test_*.py")):
        name = f"lab-{path.stem[len('test_') :].replace('_', '-')}"
        yield Check(name, pytest_command(name, str(path)), needs="lab", pytest=True)


def pytest_command(name: str, *arguments: str) -> list[str]:
    """Pytest with a report to count from."""
    return python_tool("pytest", "-q", f"--junitxml={LOGS / name}.xml", *arguments)


# Names of the labs. Molecule knows the first one alone.
LABS = ("", "second")
# Those that take longest, longest first: begun early, none is left to run alone at the end.
SLOWEST = (
    "lab-site", "lab-cache", "lab-engines", "lab-auth", "lab-logins", "lab-apply", "lab-refresh", "lab-hosts-toml", "lab-rollout", "lab-audit", "lab-rollback",
    "lab-probe", "lab-registries-conf",
)  # fmt: skip

COLLECTION = "ansible_collections.quickpull.registry"
MYPY_PACKAGES = (f"{COLLECTION}.plugins", f"{COLLECTION}.tests.unit", f"{COLLECTION}.tests.examples", "lab", "worker", "deployment", "page")
MYPY_ARGUMENTS = (*(word for name in MYPY_PACKAGES for word in ("-p", name)), "-m", "run")
DOCS_ARGUMENTS = ("--plugin-docs", "--validate-collection-refs=all", "--skip-rstcheck", ".")

CHECKS = [
    Check("ruff", python_tool("ruff", "check", "."), fast=True),
    Check("mypy", python_tool("mypy", *MYPY_ARGUMENTS), fast=True),
    Check("unit", pytest_command("unit", "-n", "auto", "--dist", "worksteal", "tests/unit"), fast=True, pytest=True),
    Check("examples", pytest_command("examples", "tests/examples"), pytest=True),
    Check("worker", pytest_command("worker", "tests/worker"), pytest=True),
    Check("deployment", pytest_command("deployment", "tests/deployment"), pytest=True),
    Check("page", check_page, pytest=True),
    Check("compile", check_compile, fast=True),
    Check("yamllint", python_tool("yamllint", "--strict", "."), fast=True),
    Check("reuse", python_tool("reuse", "lint", "--quiet"), fast=True),
    Check("changelog", python_tool("antsibull-changelog", "lint"), fast=True),
    Check("sanity", check_sanity, needs="export"),
    Check("lint", check_lint, needs="export"),
    Check("docs", python_tool("antsibull-docs", "lint-collection-docs", *DOCS_ARGUMENTS), needs="export"),
    Check("importer", check_importer, needs="export"),
    Check("core-2.17", other_core("core-2.17", "core-2-17", "3.10", "3.12"), needs="export"),
    Check("core-2.20", other_core("core-2.20", "core-2-20", "3.12", "3.14"), needs="export"),
    *(
        Check(f"molecule-{path.parent.name}", python_tool("molecule", "test", "-s", path.parent.name), needs="lab", env={"QUICKPULL_LAB_KEEP": "1"})
        for path in sorted(ROOT.glob("extensions/molecule/*/molecule.yml"))
    ),
    *lab_tests(),
]


# --- running them -------------------------------------------------------------------------------------------------


def run_check(check: Check) -> Outcome:
    """Run one check and say at once how it went."""
    started = time.monotonic()
    log = Log(check)
    outcome = Outcome(check.name)
    (LOGS / f"{check.name}.xml").unlink(missing_ok=True)
    good = check.command(log) if callable(check.command) else log.run(*check.command) == 0
    outcome.seconds = time.monotonic() - started
    outcome.missing = log.missing
    if check.pytest:
        outcome.passed, outcome.failed, skipped = pytest_counts(LOGS / f"{check.name}.xml")
        outcome.missing += [f"{skipped} tests were skipped"] if skipped else []
        # No report, or none that tells why the exit code is what it is, is a failure too.
        outcome.failed = outcome.failed or int(not good or not (outcome.passed or log.nothing_run))
    elif not (good and log.nothing_run):
        outcome.passed, outcome.failed = int(good), int(not good)
    report(outcome, log)
    return outcome


def pytest_counts(path: Path) -> tuple[int, int, int]:
    """Passed, failed and skipped tests in a JUnit report; zeros when there is none."""
    try:
        suites = list(ElementTree.parse(path).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return 0, 0, 0
    total, bad, skipped = (sum(int(suite.get(key, 0)) for suite in suites for key in keys) for keys in (("tests",), ("failures", "errors"), ("skipped",)))
    return total - bad - skipped, bad, skipped


def report(outcome: Outcome, log: Log) -> None:
    """One line for a check, and the end of its log when it failed."""
    word = "FAILED" if outcome.failed else "ok" if outcome.passed else "not run"
    counts = f"  ({outcome.passed} passed, {outcome.failed} failed)" if outcome.passed + outcome.failed > 1 else ""
    lines = [f"{word:7} {outcome.name:20} {outcome.seconds:6.1f} s{counts}"]
    if outcome.failed:
        tail = [line for line in log.text().splitlines() if not NOISE.match(line)][-60:]
        lines += [f"        | {line}" for line in tail]
        lines.append(f"        all of it: {log.path.relative_to(ROOT)}")
    print("\n".join(lines), flush=True)


def run_all(checks: t.Sequence[Check], keep_lab: bool) -> list[Outcome]:
    """Side by side what can be, then the checks on the labs."""
    beside = [check for check in checks if check.needs != "lab"]
    on_labs = [check for check in checks if check.needs == "lab"]
    ups = [Check(f"lab-up{lab and '-'}{lab}", lab_up, needs="lab", lab=lab) for lab in LABS[: labs_for(on_labs)]]
    # The slow ones first, so that none is left to run alone at the end.
    beside.sort(key=lambda check: (check.name not in ("sanity", "lint"), check.fast))
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        # The first lab builds the images that all run from.
        raised = pool.submit(lambda: [run_check(up) for up in ups])
        outcomes = list(pool.map(run_check, beside))
        outcomes += raised.result()
    down = {outcome.name for outcome in outcomes if outcome.failed}
    queue = LabQueue(on_labs)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for found in pool.map(lambda up: run_on_lab(queue, up.lab), [up for up in ups if up.name not in down]):
            outcomes += found
    left = queue.rest()
    if left:
        print(f"No lab is up: {', '.join(check.name for check in left)} count as failed.", flush=True)
        outcomes += [Outcome(check.name, failed=1) for check in left]
    if not keep_lab:
        outcomes += [run_check(dataclasses.replace(up, name=up.name.replace("up", "down"), command=[*LAB, "down"])) for up in reversed(ups)]
    return outcomes


def labs_for(checks: t.Sequence[Check]) -> int:
    """How many labs these checks are worth: no more than can be used at a time."""
    molecule = sum(check.name.startswith("molecule-") for check in checks)
    return min(len(LABS), len(checks) - molecule + min(molecule, 1))


class LabQueue:
    """The checks that wait for a lab. Each lab takes the next one that it may run."""

    def __init__(self, checks: t.Sequence[Check]) -> None:
        order = {name: number for number, name in enumerate(SLOWEST)}
        self.waiting = sorted(checks, key=lambda check: (not check.name.startswith("molecule-"), order.get(check.name, len(order))))
        self.lock = threading.Lock()

    def next(self, lab: str) -> Check | None:
        """The next check for a lab; None when nothing is left for it."""
        with self.lock:
            for check in self.waiting:
                if lab == LABS[0] or not check.name.startswith("molecule-"):
                    self.waiting.remove(check)
                    return dataclasses.replace(check, lab=lab)
        return None

    def rest(self) -> list[Check]:
        """What no lab took."""
        return self.waiting


def run_on_lab(queue: LabQueue, lab: str) -> list[Outcome]:
    """Checks on one lab, one at a time, until there are no more."""
    outcomes: list[Outcome] = []
    while True:
        check = queue.next(lab)
        if check is None:
            return outcomes
        outcomes.append(run_check(check))


def choose(names: t.Sequence[str], fast: bool) -> list[Check]:
    """The rows that were asked for. A name may also be the start of several: ``molecule``, ``core``."""
    if not names:
        return [check for check in CHECKS if check.fast or not fast]
    chosen = [check for check in CHECKS if (fast and check.fast) or any(check.name == name or check.name.startswith(f"{name}-") for name in names)]
    unknown = [name for name in names if not any(c.name == name or c.name.startswith(f"{name}-") for c in CHECKS)]
    if unknown:
        sys.exit(f"There is no check {', '.join(unknown)}: --list shows what there is.")
    return chosen


def prepare(checks: t.Sequence[Check]) -> t.IO[str] | None:
    """What the chosen checks need. Returns the lock that keeps a second run from exporting over this one's tree."""
    LOGS.mkdir(parents=True, exist_ok=True)
    # Places the link .cache/collections/…: importing it is what pytest does as well.
    subprocess.run([sys.executable, str(ROOT / "tests" / "conftest.py")], check=True)
    find_pythons_once()
    if not any(check.needs == "export" for check in checks):
        return None
    lock = (CACHE / "run.lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("Another run of tests/run.py is under way in this clone; waiting for it.", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    export_tree()
    return lock


def main() -> int:
    """Parse the command line, run, count."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="checks to run (default: all)")
    parser.add_argument("--fast", action="store_true", help="those that take seconds; with names, these as well")
    parser.add_argument("--keep-lab", action="store_true", help="leave the lab up at the end")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    options = parser.parse_args()
    checks = choose(options.names, options.fast)
    if options.list:
        print("\n".join(check.name for check in checks))
        return 0
    os.environ.pop("QUICKPULL_EXAMPLES", None)
    if options.fast:
        os.environ["QUICKPULL_EXAMPLES"] = EXAMPLES_IF_FAST
    started = time.monotonic()
    lock = prepare(checks)
    outcomes = run_all(checks, options.keep_lab)
    if lock:
        lock.close()
    passed, failed = sum(o.passed for o in outcomes), sum(o.failed for o in outcomes)
    for outcome in outcomes:
        for text in outcome.missing:
            print(f"not run: {outcome.name}: {text}")
    print(f"{time.monotonic() - started:.0f} s in all")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
