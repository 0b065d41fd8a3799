# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of a filter or lookup runs as it is written, on a controller."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
LOOKUP = 'ansible_collections.quickpull.registry.plugins.lookup.mirror_catalog'


def test_examples_run_as_written(tmp_path: Path) -> None:
    documents = [yaml.safe_load(path.read_text(encoding='utf-8')) for path in sorted(ROOT.glob('plugins/filter/*.yml'))]
    texts = [document['EXAMPLES'] for document in documents] + [importlib.import_module(LOOKUP).EXAMPLES]
    tasks = [task for text in texts for task in yaml.safe_load(text)]
    play = [{'hosts': 'localhost', 'connection': 'local', 'gather_facts': False, 'tasks': tasks}]
    playbook = tmp_path / 'examples.yml'
    playbook.write_text(yaml.safe_dump(play), encoding='utf-8')
    environment = {**os.environ, 'ANSIBLE_STDOUT_CALLBACK': 'ansible.builtin.default', 'ANSIBLE_LOCALHOST_WARNING': 'false', 'ANSIBLE_NOCOLOR': 'true'}
    command = [sys.executable, '-m', 'ansible', 'playbook', '-i', 'localhost,', str(playbook)]
    ran = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f'ok={len(tasks)} ' in ran.stdout
    assert json.dumps('https://mirror-a.example.com') in ran.stdout
