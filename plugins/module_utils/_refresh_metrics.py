# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a refresh saw, for node_exporter's textfile collector.

The format is the text format of Prometheus (its documentation, "Exposition formats"): in a label's value a backslash, a quote and a line feed are escaped.
"""

from __future__ import annotations

import typing as t

PREFIX = 'quickpull_registry_'

_HELP = {
    'mirror_up': 'Whether the mirror served at the last probe (1) or not (0).',
    'mirror_probe_timestamp_seconds': 'When the mirror was last asked, in seconds since the epoch: one that goes on failing is asked less often.',
    'mirror_latency_seconds': 'Time to the first byte of the mirror at the last probe.',
    'mirror_throughput_bytes_per_second': 'How fast the mirror sent a sample at the last probe.',
    'mirror_in_use': 'Whether the engine has the mirror as one of its own (1).',
    'refresh_timestamp_seconds': 'When the host last looked at its mirrors, in seconds since the epoch.',
    'probe_timestamp_seconds': 'When the results were found that the choice of mirrors goes by, in seconds since the epoch.',
    'choice_timestamp_seconds': 'When the choice of mirrors last changed, in seconds since the epoch.',
    'refresh_errors': 'How many engines could not be given their mirrors.',
    'pending_restart': 'Whether the engine needs a restart to take what is configured (1) or not (0).',
}

Labels = t.Mapping[str, str]
Sample = t.Tuple[str, Labels, float]


def render(report: t.Mapping[str, t.Any]) -> str:
    """The file, from what :func:`_refresh.run` reports."""
    lines: list[str] = []
    samples = sorted(_samples(report), key=lambda one: (one[0], sorted(one[1].items())))
    named = ''
    for name, labels, value in samples:
        if name != named:
            lines += [f'# HELP {PREFIX}{name} {_HELP[name]}', f'# TYPE {PREFIX}{name} gauge']
            named = name
        inside = ','.join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f'{PREFIX}{name}{{{inside}}} {value:.10g}' if inside else f'{PREFIX}{name} {value:.10g}')
    return ''.join(line + '\n' for line in lines)


def _samples(report: t.Mapping[str, t.Any]) -> t.Iterator[Sample]:
    for upstream, results in report['results'].items():
        for one in {str(one['url']): one for one in results}.values():
            yield from _mirror_samples({'upstream': upstream, 'mirror': str(one['url'])}, one)
    for one in report['engines']:
        for url in dict.fromkeys(one['mirrors']):
            yield 'mirror_in_use', {'engine': one['engine'], 'upstream': one['upstream'], 'mirror': url}, 1.0
    for engine in report['engines_here']:
        yield 'pending_restart', {'engine': engine}, float(engine in report['pending'])
    yield 'refresh_timestamp_seconds', {}, report['checked']
    yield 'refresh_errors', {}, float(len(report['errors']))
    if report['probed']:
        yield 'probe_timestamp_seconds', {}, report['probed']
    if report['chosen']:
        yield 'choice_timestamp_seconds', {}, report['chosen']


def _mirror_samples(labels: Labels, result: t.Mapping[str, t.Any]) -> t.Iterator[Sample]:
    serves = result.get('ok') is True
    yield 'mirror_up', labels, float(serves)
    if result.get('asked'):
        yield 'mirror_probe_timestamp_seconds', labels, float(result['asked'])
    if serves and isinstance(result.get('latency_ms'), (int, float)):
        yield 'mirror_latency_seconds', labels, result['latency_ms'] / 1000
    if serves and isinstance(result.get('throughput_bps'), (int, float)):
        yield 'mirror_throughput_bytes_per_second', labels, float(result['throughput_bps'])


def _escaped(text: str) -> str:
    return text.replace('\\', '\\\\').replace('\n', '\\n').replace('"', '\\"')
