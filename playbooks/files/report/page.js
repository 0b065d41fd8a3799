// Copyright (c) 2026, quickpull.registry contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Draws the report from the data in the page. Everything from outside is set as text, never as markup: what a mirror said is hostile.
(function () {
  'use strict';

  const COLUMNS = 12; // so many sites have a column each
  const FEW = 3;
  const data = JSON.parse(document.getElementById('data').textContent);
  const page = { lang: remembered('lang') || (/^zh/i.test(navigator.language || '') ? 'zh' : 'en'), query: '', sorts: {}, tables: [] };
  if (!WORDS[page.lang]) page.lang = 'en';

  // ---- small tools

  function remembered(name) {
    try { return localStorage.getItem('quickpull-report-' + name); } catch (error) { return null; } // a file:// page may have no storage
  }

  function remember(name, value) {
    try { localStorage.setItem('quickpull-report-' + name, value); } catch (error) { /* then it is forgotten */ }
  }

  function say(key, ...values) {
    return fill(WORDS[page.lang][key], values);
  }

  function fill(text, values) {
    return text.replace(/\{(\d)\}/g, (all, number) => String(values[number]));
  }

  // A name that may be anything, from a table of words that has some of them; else the name itself.
  function named(table, name) {
    const words = WORDS[page.lang][table];
    return Object.prototype.hasOwnProperty.call(words, name) ? words[name] : String(name).replace(/_/g, ' ');
  }

  function el(tag, attributes, ...children) {
    return grown(document.createElement(tag), attributes, children);
  }

  function svg(tag, attributes, ...children) {
    return grown(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
  }

  function grown(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (typeof value === 'function') node.addEventListener(name, value);
      else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, typeof value === 'string' ? tame(value) : value);
    }
    node.append(...children.flat(2).filter((child) => child || child === 0).map((child) => (typeof child === 'string' ? tame(child) : child)));
    return node;
  }

  // Without control characters, and without those that turn the direction of writing: one of them would turn what stands behind it too.
  function tame(text) {
    return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, ' ');
  }

  function milliseconds(value) {
    if (value >= 1000) return (value / 1000).toFixed(value >= 9950 ? 0 : 1) + ' s';
    return value.toFixed(value >= 9.95 ? 0 : 1) + ' ms';
  }

  function bytes(value) {
    for (const [unit, size] of [['GB/s', 1e9], ['MB/s', 1e6], ['KB/s', 1e3]]) {
      if (value >= size) return (value / size).toFixed(1) + ' ' + unit;
    }
    return value.toFixed(0) + ' B/s';
  }

  function when(iso) {
    const time = new Date(iso);
    if (!iso || isNaN(time)) return iso || '';
    return new Intl.DateTimeFormat(page.lang, {
      year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', timeZoneName: 'short', hour12: false,
    }).format(time);
  }

  function median(values) {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted.length ? sorted[sorted.length >> 1] : null;
  }

  // ---- signs and plots: a shape for each state, so that none is told by its colour alone

  const SIGNS = {
    good: 'M2 6.5l2.8 2.8L10 3.5', bad: 'M2.5 2.5l7 7m0-7l-7 7', wait: 'M6 1.8v5M6 9v1.4', skip: 'M2 6h8', drift: 'M2 4.3h8M2 7.9h8M8.4 1.6l-4.8 9',
  };

  const TONES = { good: 'good', bad: 'bad', wait: 'wait', skip: 'soft', drift: 'wait' };

  function sign(kind) {
    return svg('svg', { width: 12, height: 12, viewBox: '0 0 12 12', 'aria-hidden': 'true' },
      svg('path', { d: SIGNS[kind], fill: 'none', stroke: 'currentColor', 'stroke-width': 1.9, 'stroke-linecap': 'round' }));
  }

  function signed(kind, text) {
    return el('span', { class: 'state ' + TONES[kind] }, sign(kind), el('span', {}, text));
  }

  function verdict(cell) {
    return signed(cell.ok ? 'good' : cell.state === '?' ? 'skip' : 'bad', named('states', cell.state));
  }

  // Whole decades around the values, on which all plots of a matrix are drawn.
  function decades(values) {
    const some = values.filter((value) => value > 0);
    if (!some.length) return null;
    const low = Math.floor(Math.log10(Math.min(...some)) + 1e-9), high = Math.ceil(Math.log10(Math.max(...some)) - 1e-9);
    return [low, Math.max(high, low + 1)];
  }

  function at(value, scale, width) {
    return 4 + (width - 8) * Math.min(1, Math.max(0, (Math.log10(Math.max(value, 1e-9)) - scale[0]) / (scale[1] - scale[0])));
  }

  // One dot for each site; hollow where the mirror does not serve. One site alone has a stem.
  function strip(cells, key, scale, label) {
    const width = 110, points = cells.filter((cell) => cell && cell[key] > 0);
    if (!points.length || !scale) return null;
    const round = (value) => value.toFixed(1);
    const parts = [svg('path', { class: 'track', d: 'M4 7H' + (width - 4) })];
    if (cells.length === 1) parts.push(svg('path', { class: 'stem', d: 'M4 7H' + round(at(points[0][key], scale, width)) }));
    // Two paths for all the dots: on a large fleet there are thousands.
    const circle = (x, r) => `M${round(x - r)} 7a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
    const dots = (some, radius) => some.map((cell) => circle(at(cell[key], scale, width), radius)).join('');
    const good = points.filter((cell) => cell.ok), off = points.filter((cell) => !cell.ok);
    if (good.length) parts.push(svg('path', { class: 'dot', d: dots(good, cells.length === 1 ? 3.5 : 2.6) }));
    if (off.length) parts.push(svg('path', { class: 'dot off', d: dots(off, 2.6) }));
    return svg('svg', { class: 'plot', width: width, height: 14, viewBox: `0 0 ${width} 14`, role: 'img', 'aria-label': label }, parts);
  }

  // Latency from run to run; a cross where the mirror did not serve.
  function spark(past) {
    if (!past || past.length < 2) return null;
    const width = 96, height = 20, step = (width - 8) / Math.max(past.length - 1, 9);
    const good = past.filter((point) => point[1] === 'ok' && point[2] > 0).map((point) => point[2]);
    const lowest = Math.log10(Math.min(...good)), highest = Math.log10(Math.max(...good));
    const span = Math.max(highest - lowest, 1), low = (lowest + highest - span) / 2; // a decade at least: noise is to look like noise
    const y = (value) => 3 + (height - 8) * (1 - (Math.log10(value) - low) / span);
    let line = '', misses = '', pen = 'M';
    past.forEach((point, number) => {
      const x = width - 4 - step * (past.length - 1 - number);
      if (point[1] === 'ok' && point[2] > 0) {
        line += `${pen}${x.toFixed(1)} ${y(point[2]).toFixed(1)}` + (pen === 'M' ? 'h.01' : '');
        pen = 'L';
      } else {
        if (point[1] !== 'ok') misses += `M${(x - 1.7).toFixed(1)} ${height - 4.5}l3.4 3.4m0-3.4l-3.4 3.4`;
        pen = 'M';
      }
    });
    const range = good.length ? milliseconds(Math.min(...good)) + ' – ' + milliseconds(Math.max(...good)) : say('plot_nothing');
    const label = say('plot_past', past.length, past.filter((point) => point[1] === 'ok').length, range);
    return svg('svg', { class: 'plot', width: width, height: height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label },
      svg('title', {}, label),
      
      line && svg('path', { class: 'past', d: line }), misses && svg('path', { class: 'miss', d: misses }));
  }

  // ---- tables that are sorted by a button in each heading

  const compare = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' }).compare;

  // columns: {key, label, scale, wide, class, most, sort(row), cell(row)}; a column with "most" has the largest first when its heading is first used.
  function table(id, label, columns, rows) {
    const body = el('tbody', { role: 'rowgroup' });
    const heads = columns.map((column) => {
      const mark = el('i', { 'aria-hidden': 'true' }, '↕');
      const button = el('button', { type: 'button', title: say('sort_by', column.label), click: () => sort(column.key) }, column.label, mark);
      const scale = column.scale && el('span', { class: 'scale' }, column.scale);
      return { column, mark, th: el('th', { scope: 'col', role: 'columnheader', class: column.class }, button, scale) };
    });
    for (const row of rows) {
      row.tr = el('tr', { role: 'row' }, columns.map((column, number) => {
        const inside = column.cell(row);
        if (number === 0) return el('th', { scope: 'row', role: 'rowheader' }, inside);
        const empty = inside === null || inside === '' || (Array.isArray(inside) && !inside.some(Boolean));
        const kinds = [column.wide && 'wide', column.class, empty && 'empty'].filter(Boolean).join(' ');
        return el('td', { role: 'cell', class: kinds || null, 'data-label': column.label }, inside);
      }));
    }
    body.append(...rows.map((row) => row.tr));

    function sort(key, keep) {
      const before = page.sorts[id];
      const column = columns.find((one) => one.key === key);
      if (!column) return;
      const down = keep ? before.down : before && before.key === key ? !before.down : Boolean(column.most);
      page.sorts[id] = { key, down };
      const keyed = rows.map((row, number) => [column.sort(row), number, row]);
      const blank = (value) => value === null || value === undefined || value === '';
      keyed.sort(([a, i], [b, j]) => {
        if (blank(a) || blank(b)) return blank(a) - blank(b) || i - j; // what is not known stays at the end
        const order = typeof a === 'number' && typeof b === 'number' ? a - b : compare(String(a), String(b));
        return (down ? -order : order) || i - j;
      });
      body.append(...keyed.map((one) => one[2].tr));
      for (const head of heads) {
        const now = head.column.key === key;
        if (now) head.th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
        else head.th.removeAttribute('aria-sort');
        head.mark.textContent = now ? (down ? '▼' : '▲') : '↕';
      }
    }

    const top = el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, heads.map((head) => head.th)));
    const made = el('table', { role: 'table', id, 'aria-label': label }, top, body);
    if (page.sorts[id]) sort(page.sorts[id].key, true);
    return made;
  }

  // Lines that are shown when asked for. They are made then: on a large fleet there are many.
  function more(summary, lines) {
    const list = el('ul');
    const opened = () => {
      if (node.open && !list.childNodes.length) list.append(...lines.map((line) => el('li', {}, line)));
    };
    const node = el('details', { toggle: opened }, el('summary', {}, summary), list);
    return node;
  }

  // ---- the mirrors of one upstream

  function said(cell) {
    return [cell.state, named('states', cell.state), cell.why || '', ...(cell.notes || [])];
  }

  function matrix(upstream, number) {
    const id = 'mirrors-' + number, title = say('mirrors_of', upstream.name || say('an_upstream'));
    const one = upstream.sites.length === 1;
    const node = el('section', { 'aria-label': title });
    const all = upstream.mirrors.flatMap((mirror) => mirror.cells).filter(Boolean);
    const scales = { ms: decades(all.map((cell) => cell.ms)), bps: decades(all.map((cell) => cell.bps)) };
    const rows = upstream.mirrors.map((mirror) => {
      const cells = mirror.cells.filter(Boolean), good = cells.filter((cell) => cell.ok);
      return {
        mirror, cells, good: good.length, why: reasons(upstream, mirror),
        ms: median((good.length ? good : cells).map((cell) => cell.ms).filter((value) => value > 0)),
        bps: median((good.length ? good : cells).map((cell) => cell.bps).filter((value) => value > 0)),
        text: [mirror.url, upstream.name, ...new Set(cells.flatMap(said))].join('\n').toLowerCase(),
      };
    });
    rows.sort((a, b) => b.good / b.cells.length - a.good / a.cells.length || (a.ms || 1e12) - (b.ms || 1e12));
    const failing = upstream.sites.map((site, at) => rows.filter((row) => row.mirror.cells[at] && !row.mirror.cells[at].ok).length);
    let drawn = '';

    function matchingSites() {
      if (!page.query) return [];
      return upstream.sites.map((site, at) => at).filter((at) => (upstream.sites[at].name + '\n' + upstream.sites[at].from).toLowerCase().includes(page.query));
    }

    function draw() {
      const matching = matchingSites();
      let shown = upstream.sites.map((site, at) => at);
      if (matching.length) shown = matching;
      else if (shown.length > COLUMNS) shown.sort((a, b) => failing[b] - failing[a] || a - b);
      const few = shown.slice(0, COLUMNS);
      if (page.lang + few.join() !== drawn) {
        drawn = page.lang + few.join();
        const hint = one ? say('seen_from', upstream.sites[0].name) : say('from_sites', upstream.sites.length);
        const left = few.length < upstream.sites.length ? say(matching.length ? 'matching_sites' : 'some_sites', few.length, upstream.sites.length) : '';
        node.replaceChildren(
          el('div', { class: 'title' }, el('h2', {}, title), el('span', { class: 'hint' }, hint), left && el('span', { class: 'hint' }, left)),
          el('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': title }, table(id, title, columns(few), rows)));
      }
      let count = 0;
      for (const row of rows) {
        row.tr.hidden = Boolean(page.query) && !row.text.includes(page.query) && !matching.length;
        count += row.tr.hidden ? 0 : 1;
      }
      node.hidden = rows.length > 0 && count === 0;
      return [count, rows.length];
    }

    function columns(few) {
      const scaleOf = (key, words) => (scales[key] ? [0, 1].map((end) => words(10 ** scales[key][end]).replace('.0 ', ' ')).join(' – ') : '');
      const measured = (key, words, label) => (row) => row[key] === null ? null : [
        el('span', { class: 'number' }, one ? '' : say('median') + ' ', words(row[key])),
        strip(row.mirror.cells, key, scales[key], say(label, words(row[key]))),
      ];
      const serves = one
        ? { key: 'serves', label: say('verdict'), sort: (row) => (row.good ? '0' : '1' + row.cells[0].state), cell: (row) => verdict(row.cells[0]) }
        : { key: 'serves', label: say('serves'), most: true, sort: (row) => row.good / row.cells.length,
            cell: (row) => signed(row.good === row.cells.length ? 'good' : row.good ? 'wait' : 'bad', say('serves_n', row.good, row.cells.length)) };
      const found = [
        { key: 'url', label: say('mirror'), sort: (row) => row.mirror.url, cell: (row) => [el('span', { class: 'url' }, row.mirror.url), row.why()] },
        serves,
        { key: 'ms', label: say('latency'), scale: scaleOf('ms', milliseconds), sort: (row) => row.ms, cell: measured('ms', milliseconds, 'plot_latency') },
        { key: 'bps', label: say('rate'), scale: scaleOf('bps', bytes), most: true, sort: (row) => row.bps, cell: measured('bps', bytes, 'plot_rate') },
      ];
      if (one && all.some((cell) => (cell.past || []).length > 1)) {
        const share = (past) => (past ? past.filter((point) => point[1] === 'ok').length / past.length : null);
        found.push({ key: 'past', label: say('history'), most: true, sort: (row) => share(row.cells[0].past), cell: (row) => spark(row.cells[0].past) });
      }
      if (data.hosts.length) {
        const words = (used) => (used === 1 ? say('used_1') : say('used_n', used));
        found.push({ key: 'used', label: say('used'), most: true, sort: (row) => row.mirror.used || null,
          cell: (row) => (row.mirror.used ? el('span', { class: 'number' }, words(row.mirror.used)) : null) });
      }
      if (one) return found;
      return found.concat(few.map((at) => ({
        key: 'site-' + at, label: upstream.sites[at].name, class: 'cell',
        sort: (row) => { const cell = row.mirror.cells[at]; return cell ? (cell.ok ? cell.ms || 0 : 1e12) : null; },
        cell: (row) => { const cell = row.mirror.cells[at]; return cell ? site(cell) : null; },
      })));
    }

    draw();
    return { node, draw };
  }

  function site(cell) {
    const numbers = [cell.ms > 0 && milliseconds(cell.ms), cell.bps > 0 && bytes(cell.bps)].filter(Boolean).join(' · ');
    return [verdict(cell), numbers && el('small', {}, numbers), spark(cell.past)];
  }

  // What is wrong, or was noted, each said once with the sites it is true of.
  function reasons(upstream, mirror) {
    const said = new Map();
    mirror.cells.forEach((cell, at) => {
      if (!cell) return;
      const sentences = (cell.notes || []).map((note) => '\n' + note.replace(/_/g, ' '));
      if (cell.why || cell.at) sentences.unshift((cell.at || '') + '\n' + (cell.why || ''));
      for (const sentence of new Set(sentences)) {
        if (!said.has(sentence)) said.set(sentence, []);
        said.get(sentence).push(upstream.sites[at].name);
      }
    });
    const someSites = (sites) => {
      if (sites.length === upstream.sites.length) return say('all_sites');
      return sites.length > FEW + 1 ? say('n_sites', sites.length) : sites.join(', ');
    };
    return () => {
      const lines = [...said].map(([sentence, sites]) => {
        const [step, ...text] = sentence.split('\n');
        const where = upstream.sites.length > 1 && el('b', {}, someSites(sites) + ': ');
        return el('li', {}, where, step && say('at_step', named('steps', step)) + ': ', text.join(' '));
      });
      const shown = lines.slice(0, FEW + 1);
      return lines.length ? el('ul', { class: 'why' }, shown, lines.length > shown.length && el('li', {}, say('and_more', lines.length - shown.length))) : null;
    };
  }

  // ---- hosts

  const PROOFS = { FAILED: 0, 'rolled back': 1, pending: 2, 'not applied': 3 };

  function hosts() {
    const title = say('hosts');
    const rows = data.hosts.map((host) => ({
      host,
      text: [
        host.name, host.engine, host.after, host.before, host.plan, host.proof, (host.proof || []).map((word) => named('proofs', word)), host.pending,
        host.drift, host.failures, host.skipped, (host.upstreams || []).map((one) => [one.engine, one.upstream, one.after, one.proof]),
      ].flat(3).filter(Boolean).join('\n').toLowerCase(),
    }));
    const number = (some) => (some || []).length || null;
    const columns = [
      { key: 'name', label: say('host'), sort: (row) => row.host.name, cell: (row) => el('span', { class: 'name' }, row.host.name) },
      { key: 'engine', label: say('engine'), class: 'engine', sort: (row) => engines(row.host).join(),
        cell: (row) => engines(row.host).map((name) => el('div', {}, name)) },
      { key: 'mirrors', label: say('mirrors'), wide: true, class: 'mirrors', sort: (row) => (row.host.after || []).join(), cell: (row) => mirrorsOf(row.host) },
      { key: 'plan', label: say('plan'), class: 'narrow', sort: (row) => row.host.plan, cell: (row) => planOf(row.host) },
      { key: 'proof', label: say('proof'), class: 'proof', sort: (row) => rank(row.host), cell: (row) => proofOf(row.host) },
      { key: 'pending', label: say('pending'), class: 'narrow', most: true,
        sort: (row) => number(row.host.pending), cell: (row) => counted('wait', row.host.pending) },
      { key: 'drift', label: say('drift'), class: 'narrow', most: true,
        sort: (row) => number(row.host.drift), cell: (row) => counted('drift', row.host.drift) },
    ];
    if (data.hosts.some((host) => host.refresh)) {
      columns.push({ key: 'refresh', label: say('refresh'), most: true,
        sort: (row) => (row.host.refresh || {}).checked_at, cell: (row) => refreshOf(row.host.refresh) });
    }
    const node = el('section', { 'aria-label': title },
      el('div', { class: 'title' }, el('h2', {}, title)),
      el('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': title }, table('hosts', title, columns, rows)));
    return {
      node,
      draw() {
        let count = 0;
        for (const row of rows) {
          row.tr.hidden = Boolean(page.query) && !row.text.includes(page.query);
          count += row.tr.hidden ? 0 : 1;
        }
        node.hidden = count === 0;
        return [count, rows.length];
      },
    };
  }

  function engines(host) {
    return [...new Set([host.engine, ...(host.upstreams || []).map((one) => one.engine)].filter(Boolean))];
  }

  function rank(host) {
    if (host.skipped) return 9;
    return Math.min(...(host.proof || []).map((word) => (word in PROOFS ? PROOFS[word] : 5)), 5);
  }

  function plain(url) {
    return url.replace(/\/+$/, '').toLowerCase();
  }

  function urls(before, after) {
    const lines = after.length ? after : null;
    const parts = lines ? lines.slice(0, FEW).map((url) => el('div', { class: 'url' }, url.replace(/\/+$/, ''))) : [el('div', { class: 'soft' }, say('none'))];
    if (lines && lines.length > FEW) parts.push(more(say('and_more', lines.length - FEW), lines.slice(FEW).map((url) => el('span', { class: 'url' }, url))));
    if (before.map(plain).join('\n') !== after.map(plain).join('\n')) {
      const were = before.slice(0, FEW).map((url) => url.replace(/\/+$/, ''));
      if (before.length > FEW) were.push(say('and_more', before.length - FEW));
      parts.push(el('div', { class: 'gone' }, say('was') + ' ', before.length ? el('span', { class: 'url' }, were.join(', ')) : say('none')));
    }
    return parts;
  }

  function mirrorsOf(host) {
    if (host.skipped) return null;
    const others = (host.upstreams || []).map((one) => [
      el('div', { class: 'group' }, one.engine + ' · ' + one.upstream + (one.proof ? ' · ' + named('proofs', one.proof) : '')),
      urls(one.before || [], one.after || []),
    ]);
    const own = host.after || host.before || !others.length ? urls(host.before || [], host.after || []) : [];
    return [own, others].flat(3);
  }

  function planOf(host) {
    if (!host.plan) return null;
    const word = named('plans', host.plan);
    return host.plan_reasons ? more(word, host.plan_reasons) : word;
  }

  function proofOf(host) {
    if (host.skipped) return signed('skip', say('skipped', host.skipped));
    const kinds = { FAILED: 'bad', 'rolled back': 'bad', pending: 'wait', 'nothing to do': 'skip', 'not applied': 'wait' };
    const parts = (host.proof || []).map((word) => el('div', {}, signed(kinds[word] || 'good', named('proofs', word))));
    if (host.failures) parts.push(more(say('reasons'), host.failures));
    if (host.kept) parts.push(el('div', { class: 'soft' }, say('kept', host.kept[0], host.kept[1])));
    return parts;
  }

  function counted(kind, sentences) {
    return sentences ? more(signed(kind, say('n_sentences', sentences.length)), sentences) : null;
  }

  function refreshOf(refresh) {
    if (!refresh) return null;
    const lines = [refresh.because, ...Object.entries(refresh.mirrors || {}).map(([upstream, some]) => upstream + ': ' + some.join(', '))].filter(Boolean);
    return lines.length ? more(when(refresh.checked_at), lines) : when(refresh.checked_at);
  }

  // ---- notes

  function notes() {
    const kinds = new Map();
    for (const note of data.notes) kinds.set(note.kind, [...(kinds.get(note.kind) || []), note]);
    const rows = [], title = say('notes');
    const parts = [...kinds].map(([kind, some]) => {
      const items = some.map((note) => {
        const total = note.hosts.length === data.hosts.length && note.hosts.length > 1;
        const names = total ? say('all_hosts', note.hosts.length) : note.hosts.length <= FEW + 1 ? note.hosts.join(', ') : note.hosts.slice(0, FEW).join(', ');
        const rest = !total && note.hosts.length > FEW + 1 && more(say('and_more', note.hosts.length - FEW), [note.hosts.slice(FEW).join(', ')]);
        const li = el('li', {}, el('span', { class: 'hosts' }, names), rest && [' ', rest], ': ', note.text);
        rows.push({ li, text: [kind, note.text, ...note.hosts].join('\n').toLowerCase() });
        return li;
      });
      return el('div', {}, el('h3', {}, named('kinds', kind)), el('ul', {}, items));
    });
    const node = el('section', { 'aria-label': title }, el('div', { class: 'title' }, el('h2', {}, title)), el('div', { class: 'notes' }, parts));
    return {
      node,
      draw() {
        let count = 0;
        for (const row of rows) {
          row.li.hidden = Boolean(page.query) && !row.text.includes(page.query);
          count += row.li.hidden ? 0 : 1;
        }
        for (const part of parts) part.hidden = ![...part.querySelectorAll('li')].some((li) => !li.hidden);
        node.hidden = count === 0;
        return [count, rows.length];
      },
    };
  }

  // ---- the whole

  function head() {
    const dark = isDark();
    const other = page.lang === 'en' ? 'zh' : 'en';
    return el('div', { class: 'bar' },
      el('h1', {}, say('title')),
      data.time && el('time', { class: 'when', datetime: data.time }, say('as_of', when(data.time))),
      el('div', { class: 'tools' },
        el('button', { type: 'button', id: 'language', lang: other, click: () => speak(other) }, say('other_language')),
        el('button', { type: 'button', id: 'theme', click: () => paint(isDark() ? 'light' : 'dark') }, say(dark ? 'to_light' : 'to_dark'))));
  }

  function numbers() {
    const sum = data.summary, boxes = [];
    const box = (kind, label, number, of) => boxes.push(el('div', {},
      el('dt', {}, kind && el('span', { class: 'state ' + (number ? TONES[kind] : 'soft') }, sign(kind)), label),
      el('dd', {}, String(number), of && el('small', {}, ' ' + of))));
    if (sum.mirrors) {
      const places = data.upstreams.some((one) => one.sites.length > 1);
      box(sum.mirrors_ok === sum.mirrors ? 'good' : 'wait', say(places ? 'n_places' : 'n_mirrors'), sum.mirrors_ok, say('n_of', sum.mirrors));
    }
    if (sum.hosts) {
      box('', say('n_hosts'), sum.hosts);
      box('good', say('n_proved'), sum.hosts_proved);
      box('wait', say('n_pending'), sum.hosts_pending);
      box('bad', say('n_failed'), sum.hosts_failed);
      if (sum.hosts_drift) box('drift', say('n_drift'), sum.hosts_drift);
      if (sum.hosts_skipped) box('skip', say('n_skipped'), sum.hosts_skipped);
    }
    return boxes.length ? el('dl', { class: 'numbers' }, boxes) : el('p', {}, say('nothing'));
  }

  function find() {
    const status = el('span', { role: 'status', id: 'found' });
    const typed = () => look(input.value);
    const input = el('input', { type: 'search', id: 'search', placeholder: say('search_hint'), autocomplete: 'off', spellcheck: 'false', input: typed });
    input.value = page.words || '';
    return el('div', { class: 'find', role: 'search' }, el('label', { for: 'search' }, say('search')), input, status);
  }

  function look(words) {
    page.words = words;
    page.query = words.trim().toLowerCase();
    let shown = 0, all = 0;
    for (const part of page.tables) {
      const [count, total] = part.draw();
      shown += count;
      all += total;
    }
    document.getElementById('found').textContent = !page.query ? '' : shown ? say('found', shown, all) : say('no_match');
  }

  function isDark() {
    return (document.documentElement.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
  }

  function paint(theme) {
    document.documentElement.dataset.theme = theme;
    remember('theme', theme);
    document.getElementById('theme').textContent = say(isDark() ? 'to_light' : 'to_dark');
  }

  function speak(lang) {
    page.lang = lang;
    remember('lang', lang);
    draw();
    document.getElementById('language').focus();
  }

  function draw() {
    document.documentElement.lang = page.lang === 'zh' ? 'zh-Hans' : 'en';
    document.title = say('title');
    page.tables = data.upstreams.map(matrix);
    if (data.hosts.length) page.tables.push(hosts());
    if (data.notes.length) page.tables.push(notes());
    document.getElementById('head').replaceChildren(head());
    document.getElementById('body').replaceChildren(numbers(), page.tables.length ? find() : '', ...page.tables.map((part) => part.node));
    if (page.tables.length) look(page.words || '');
  }

  if (['light', 'dark'].includes(remembered('theme'))) document.documentElement.dataset.theme = remembered('theme');
  draw();
  document.documentElement.dataset.drawn = String(performance.now());
})();
