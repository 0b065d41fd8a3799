# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this lab lives: paths and names that keep two clones of the repository apart.

Environment variables:

- ``QUICKPULL_LAB_NAME``: a second lab of the same clone (state in ``.cache/lab-NAME``).
- ``QUICKPULL_LAB_CACHE``: where built images are kept (default ``~/.cache/quickpull-lab``).
- ``QUICKPULL_LAB_SUBNET``: the bridge's subnet, a /24 (default: the first free one from 10.213.77.0/24 on).
- ``QUICKPULL_LAB_SOURCE``: ``mmdebstrap`` or ``official`` (default: detected).
- ``QUICKPULL_LAB_FLAGS``: ``caps`` or ``privileged`` (default: what fits the source).
- ``QUICKPULL_LAB_CORE``: the environment below ``.cache`` whose ansible-playbook is run (default ``venv``; ``core-2.17`` once that check has made it).
"""
from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import typing as t
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = Path(__file__).resolve().parent


class LabError(RuntimeError):
    """Something the person at the keyboard has to know; its text is the whole message."""


@dataclass(frozen=True)
class Place:
    """Paths and names of one lab."""

    state: Path     # everything this lab writes
    suffix: str     # what tells its containers and network from another lab's

    @property
    def network(self) -> str:
        return f'quickpull-lab-{self.suffix}'

    @property
    def bridge(self) -> str:
        """Name of the network interface: at most 15 characters."""
        return f'qpl-{self.suffix[:8]}'

    @property
    def label(self) -> str:
        return f'quickpull.lab={self.suffix}'

    @property
    def json(self) -> Path:
        return self.state / 'lab.json'

    @property
    def inventory(self) -> Path:
        return self.state / 'inventory.yml'

    @property
    def ssh(self) -> Path:
        return self.state / 'ssh'

    @property
    def pki(self) -> Path:
        return self.state / 'pki'

    @property
    def logs(self) -> Path:
        return self.state / 'logs'

    @property
    def served(self) -> Path:
        """What the services container is told and what it tells back."""
        return self.state / 'services'

    def container(self, name: str) -> str:
        return f'quickpull-{self.suffix}-{name}'


def facts(here: Place) -> dict[str, t.Any]:
    """What lab.json says of a lab that is up; raises LabError when it is down."""
    if not here.json.exists():
        raise LabError('The lab is down: python3 tests/lab/lab.py up')
    told: dict[str, t.Any] = json.loads(here.json.read_text())
    return told


def place() -> Place:
    """The lab of this clone (and of ``QUICKPULL_LAB_NAME``)."""
    name = os.environ.get('QUICKPULL_LAB_NAME', '')
    state = ROOT / '.cache' / (f'lab-{name}' if name else 'lab')
    return Place(state=state, suffix=hashlib.sha256(str(state).encode()).hexdigest()[:8])


def image_cache() -> Path:
    """The folder of built images; outside the repository so that clones share it."""
    return Path(os.environ.get('QUICKPULL_LAB_CACHE') or Path.home() / '.cache' / 'quickpull-lab')


@contextlib.contextmanager
def locked(path: Path) -> t.Iterator[None]:
    """Held while somebody does what nobody else may do at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w') as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
