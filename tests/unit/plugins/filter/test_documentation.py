# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every filter is documented, with the options that it has. That its example runs is seen in tests/examples."""

from __future__ import annotations

import importlib
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[4]
PACKAGE = 'ansible_collections.quickpull.registry.plugins'


def documented() -> dict[str, dict[str, t.Any]]:
    """The sidecar files of filters, by name."""
    return {path.stem: yaml.safe_load(path.read_text(encoding='utf-8')) for path in sorted(ROOT.glob('plugins/filter/*.yml'))}


def offered() -> dict[str, t.Callable[..., t.Any]]:
    """All filters of the collection, by name."""
    names = [path.stem for path in ROOT.glob('plugins/filter/*.py')]
    modules = [importlib.import_module(f'{PACKAGE}.filter.{name}') for name in names]
    return {name: function for module in modules for name, function in module.FilterModule().filters().items()}


def parameters(function: t.Callable[..., t.Any]) -> list[str]:
    code: t.Any = getattr(function, '__wrapped__', function)
    return list(code.__code__.co_varnames[1 : code.__code__.co_argcount])


def test_every_filter_is_documented_with_the_options_that_it_has() -> None:
    documents = documented()
    found = offered()
    for name, document in documents.items():
        assert document['DOCUMENTATION']['name'] == name
        options = [option for option in document['DOCUMENTATION']['options'] if option != '_input']
        assert parameters(found[name]) == options, name
        assert (document['DOCUMENTATION'].get('positional') or '').split(', ') == (options or ['']), name
    # What serves the tasks of our own role alone is no part of what users are offered.
    internal = importlib.import_module(f'{PACKAGE}.filter.access').FilterModule().filters()
    assert set(found) - set(internal) <= set(documents)
