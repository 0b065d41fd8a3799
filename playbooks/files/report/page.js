// Copyright (c) 2026, quickpull.registry contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Draws the report from the data in the page. Everything from outside is set as text, never as markup: what a mirror said is hostile.
(function () {
  'use strict';

  const COLUMNS = 12; // so many sites have a column each
  const FEW = 3;
  const LARGE = 500; // with more hosts and cells than this, what is far below is laid out late
  const PAUSE_MS = 120; // after the last key, before a search
  const page = { lang: remembered('lang') || (/^zh/i.test(navigator.language || '') ? 'zh' : 'en'), words: '', query: [], sorts: {}, tables: [] };
  if (!WORDS[page.lang]) page.lang = 'en';
  let data = null;

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
    return known(table, name) || String(name).replace(/_/g, ' ');
  }

  function known(table, name) {
    const words = WORDS[page.lang][table];
    return Object.prototype.hasOwnProperty.call(words, name) ? words[name] : '';
  }

  // What hosts, mirrors and the collection say in sentences is English, and marked as such where the page is not.
  function quoted(text) {
    const own = known('sentences', text);
    return own || page.lang === 'en' ? own || text : { text, lang: 'en' };
  }

  // A note is a name, a name with an image behind it, or a sentence.
  function noted(note) {
    const budget = /^budget_spent_at_(\w+): ([^]*)$/.exec(note);
    if (budget) return say('budget_spent', named('steps', budget[1]), budget[2]);
    return /^\w+$/.test(note) ? named('remarks', note) : quoted(note);
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
    node.append(...children.flat(3).filter((child) => child || child === 0).map(inside));
    return node;
  }

  // A child is a node, a text, or a text with the language and class that it has.
  function inside(child) {
    if (typeof child === 'string') return tame(child);
    return child instanceof Node || typeof child !== 'object' ? child : el('span', { lang: child.lang, class: child.class }, child.text);
  }

  function textOf(child) {
    if (Array.isArray(child)) return child.map(textOf).join('');
    return child ? String(child.text || child) : '';
  }

  // Without control characters, and without those that turn the direction of writing: one of them would turn what stands behind it too.
  function tame(text) {
    return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, ' ');
  }

  // The next unit begins where rounding reaches it: 999.7 ms are 1.0 s.
  function milliseconds(value) {
    const number = Number(value);
    if (number >= 999.5) return (number / 1000).toFixed(number >= 9950 ? 0 : 1) + ' s';
    return number.toFixed(number >= 9.95 ? 0 : 1) + ' ms';
  }

  function bytes(value) {
    const number = Number(value);
    for (const [unit, size, least] of [['GB/s', 1e9, 999.95e6], ['MB/s', 1e6, 999.95e3], ['KB/s', 1e3, 999.5]]) {
      if (number >= least) return (number / size).toFixed(1) + ' ' + unit;
    }
    return number.toFixed(0) + ' B/s';
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
    // One by one: as arguments of one call there may be too many.
    const low = Math.floor(Math.log10(some.reduce((a, b) => Math.min(a, b))) + 1e-9), high = Math.ceil(Math.log10(some.reduce((a, b) => Math.max(a, b))) - 1e-9);
    return [low, Math.max(high, low + 1)];
  }

  function at(value, scale, width) {
    return 4 + (width - 8) * Math.min(1, Math.max(0, (Math.log10(Math.max(value, 1e-9)) - scale[0]) / (scale[1] - scale[0])));
  }

  // One dot for each site; hollow where the mirror does not serve. One site alone has a stem.
  function strip(cells, key, scale, label, words) {
    const width = 110, points = cells.filter((cell) => cell && cell[key] > 0);
    if (!points.length || !scale) return null;
    if (cells.length > 1) {
      const values = points.map((cell) => Number(cell[key])).sort((a, b) => a - b);
      label = say('plot_sites', label, values.length, words(values[0]), words(values[values.length - 1]));
    }
    const round = (value) => value.toFixed(1);
    const parts = [svg('path', { class: 'track', d: 'M4 7H' + (width - 4) })];
    if (cells.length === 1) parts.push(svg('path', { class: 'stem', d: 'M4 7H' + round(at(points[0][key], scale, width)) }));
    // Two paths for all the dots: on a large fleet there are thousands. One stands for all that no eye tells from it.
    const circle = (x, r) => `M${round(x - r)} 7a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
    const dots = (some, radius) => [...new Set(some.map((cell) => Math.round(2 * at(cell[key], scale, width))))].map((x) => circle(x / 2, radius)).join('');
    const good = points.filter((cell) => cell.ok), off = points.filter((cell) => !cell.ok);
    if (good.length) parts.push(svg('path', { class: 'dot', d: dots(good, cells.length === 1 ? 3.5 : 2.6) }));
    if (off.length) parts.push(svg('path', { class: 'dot off', d: dots(off, 2.6) }));
    return svg('svg', { class: 'plot', width: width, height: 14, viewBox: `0 0 ${width} 14`, role: 'img', 'aria-label': label }, parts);
  }

  // Latency from run to run; a cross where the mirror did not serve. Of each run its milliseconds, 0 where they were not measured, null where it failed.
  function spark(past) {
    if (!past || past.length < 2) return null;
    const width = 96, height = 20, step = (width - 8) / Math.max(past.length - 1, 9);
    const good = past.filter((point) => point > 0);
    const lowest = Math.log10(Math.min(...good)), highest = Math.log10(Math.max(...good));
    const span = Math.max(highest - lowest, 1), low = (lowest + highest - span) / 2; // a decade at least: noise is to look like noise
    const y = (value) => 3 + (height - 8) * (1 - (Math.log10(value) - low) / span);
    let line = '', misses = '', pen = 'M';
    past.forEach((point, number) => {
      const x = width - 4 - step * (past.length - 1 - number);
      if (point > 0) {
        line += `${pen}${x.toFixed(1)} ${y(point).toFixed(1)}` + (pen === 'M' ? 'h.01' : '');
        pen = 'L';
      } else {
        if (point === null) misses += `M${(x - 1.7).toFixed(1)} ${height - 4.5}l3.4 3.4m0-3.4l-3.4 3.4`;
        pen = 'M';
      }
    });
    const range = good.length ? milliseconds(Math.min(...good)) + ' – ' + milliseconds(Math.max(...good)) : say('plot_nothing');
    const label = say('plot_past', past.length, past.filter((point) => point !== null).length, range);
    return svg('svg', { class: 'plot', width: width, height: height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label },
      svg('title', {}, label),
      line && svg('path', { class: 'past', d: line }), misses && svg('path', { class: 'miss', d: misses }));
  }

  // ---- tables that are sorted by a button in each heading

  const compare = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' }).compare;

  // columns: {key, label, scale, wide, class, most, kept, sort(row), cell(row)}; a column with "most" has the largest first when its heading is first used,
  // the cells of one with "kept" are used again when the table is made anew.
  function table(id, label, columns, rows) {
    const body = el('tbody', { role: 'rowgroup' });
    const heads = columns.map((column) => {
      const mark = el('i', { 'aria-hidden': 'true' }, '↕');
      const button = el('button', { type: 'button', title: say('sort_by', column.label), click: () => sort(column.key) }, column.label, mark);
      const scale = column.scale && el('span', { class: 'scale' }, column.scale);
      return { column, mark, th: el('th', { scope: 'col', role: 'columnheader', class: column.class }, button, scale) };
    });
    const cellOf = (row, column, number) => {
      const inside = column.cell(row);
      if (number === 0) return el('th', { scope: 'row', role: 'rowheader' }, inside);
      const empty = inside === null || inside === '' || (Array.isArray(inside) && !inside.some(Boolean));
      const kinds = [column.wide && 'wide', column.class, empty && 'empty'].filter(Boolean).join(' ');
      return el('td', { role: 'cell', class: kinds || null, 'data-label': column.label }, inside);
    };
    for (const row of rows) {
      row.kept = row.kept || {};
      row.tr = el('tr', { role: 'row' }, columns.map((column, number) => {
        if (!column.kept) return cellOf(row, column, number);
        row.kept[column.key] = row.kept[column.key] || cellOf(row, column, number);
        return row.kept[column.key];
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
  const behind = new WeakMap(); // of each such element its lines as text, and how to make them

  function more(summary, lines) {
    const list = el('ul');
    const fill = () => {
      if (!list.childNodes.length) list.append(...lines.map((line) => el('li', {}, line)));
    };
    const node = el('details', { toggle: () => node.open && fill() }, el('summary', {}, summary), list);
    behind.set(node, { fill, text: () => small(lines.map(textOf).join('\n')) });
    return node;
  }

  function open(details) {
    behind.get(details).fill();
    details.open = true;
  }

  // ---- search: all words have to be there, in what is drawn or in what is drawn when asked for

  function small(text) {
    return tame(text).toLowerCase();
  }

  // What stands in a row: at once, and behind what can be opened. The words of plots are for those who do not see them.
  function read(node) {
    const found = [], walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT, (one) => (
      one.nodeType === Node.TEXT_NODE ? NodeFilter.FILTER_ACCEPT
        : one.localName === 'svg' || (one.localName === 'ul' && behind.has(one.parentNode)) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_SKIP));
    while (walker.nextNode()) found.push(walker.currentNode.data);
    const lists = [...node.querySelectorAll('details')].map((details) => ({ details, text: behind.get(details).text() }));
    return { shown: small(found.join('\n')), lists };
  }

  // Whether all words are in a row, in its lists, or among others that are true of it; lists that alone have one of the words are opened, as long as it is sought.
  function matches(row, node, isTrue) {
    if (!page.query.length) {
      settle(row, () => false);
      return true;
    }
    row.text = row.text || read(node);
    const left = page.query.filter((word) => !row.text.shown.includes(word) && !(isTrue && isTrue(word)));
    const found = left.every((word) => row.text.lists.some((list) => list.text.includes(word)));
    settle(row, (list) => found && left.some((word) => list.text.includes(word)));
    return found;
  }

  function settle(row, wanted) {
    for (const list of (row.text || { lists: [] }).lists) {
      if (wanted(list) && !list.details.open) {
        list.opened = true;
        open(list.details);
      } else if (list.opened && !wanted(list)) {
        list.opened = list.details.open = false;
      }
    }
  }

  // ---- the mirrors of one upstream

  function matrix(upstream, number) {
    const id = 'mirrors-' + number, title = say('mirrors_of', upstream.name || say('an_upstream'));
    const one = upstream.sites.length === 1;
    const node = el('section', { 'aria-label': title, id: 'at-mirrors-' + number });
    const all = upstream.mirrors.flatMap((mirror) => mirror.cells).filter(Boolean);
    const scales = { ms: decades(all.map((cell) => cell.ms)), bps: decades(all.map((cell) => cell.bps)) };
    const rows = upstream.mirrors.map((mirror) => {
      const cells = mirror.cells.filter(Boolean), good = cells.filter((cell) => cell.ok);
      return {
        mirror, cells, good: good.length, why: reasons(upstream, mirror),
        ms: median((good.length ? good : cells).map((cell) => cell.ms).filter((value) => value > 0)),
        bps: median((good.length ? good : cells).map((cell) => cell.bps).filter((value) => value > 0)),
        // Of all sites, though few have a column.
        also: small([upstream.name, ...new Set(cells.map((cell) => cell.state))].map((word, at) => (at ? named('states', word) : word)).join('\n')),
      };
    });
    rows.sort((a, b) => b.good / b.cells.length - a.good / a.cells.length || (a.ms || 1e12) - (b.ms || 1e12));
    const failing = upstream.sites.map((site, at) => rows.filter((row) => row.mirror.cells[at] && !row.mirror.cells[at].ok).length);
    let drawn = '';

    const names = upstream.sites.map((site) => small(site.name + '\n' + site.from));
    const isSite = (word) => names.some((name) => name.includes(word));

    // Those that all words are true of that are true of any; a search for two sites finds both.
    function matchingSites() {
      const words = page.query.filter(isSite);
      const each = names.map((name) => words.filter((word) => name.includes(word)).length);
      const most = each.includes(words.length) ? words.length : 1;
      return words.length ? upstream.sites.map((site, at) => at).filter((at) => each[at] >= most) : [];
    }

    function draw() {
      const matching = matchingSites();
      let shown = upstream.sites.map((site, at) => at);
      if (matching.length && matching.length < shown.length) shown = matching;
      else if (shown.length > COLUMNS) shown.sort((a, b) => failing[b] - failing[a] || a - b);
      const few = shown.slice(0, COLUMNS);
      if (page.lang + few.join() !== drawn) {
        drawn = page.lang + few.join();
        for (const row of rows) row.values = '';
        const hint = one ? say('seen_from', upstream.sites[0].name) : say('from_sites', upstream.sites.length);
        const left = few.length < upstream.sites.length ? say(shown === matching ? 'matching_sites' : 'some_sites', few.length, upstream.sites.length) : '';
        node.replaceChildren(
          el('div', { class: 'title' }, el('h2', {}, title), el('span', { class: 'hint' }, hint), left && el('span', { class: 'hint' }, left)),
          el('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': title }, table(id, title, columns(few), rows)));
      }
      let count = 0;
      for (const row of rows) {
        // The first cell has what can be opened, and stays; the cells of sites come and go.
        hide(row.tr, !matches(row, row.kept.url, (word) => row.also.includes(word) || isSite(word) || valuesOf(row).includes(word)));
        count += row.tr.hidden ? 0 : 1;
      }
      hide(node, rows.length > 0 && count === 0);
      return [count, rows.length];
    }

    // All that stands in the row by now.
    function valuesOf(row) {
      row.values = row.values || read(row.tr).shown;
      return row.values;
    }

    function columns(few) {
      const scaleOf = (key, words) => (scales[key] ? [0, 1].map((end) => words(10 ** scales[key][end]).replace('.0 ', ' ')).join(' – ') : '');
      const measured = (key, words, label) => (row) => row[key] === null ? null : [
        el('span', { class: 'number' }, one ? '' : say('median') + ' ', words(row[key])),
        strip(row.mirror.cells, key, scales[key], say(label, (one ? '' : say('median') + ' ') + words(row[key])), words),
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
        const share = (past) => (past ? past.filter((point) => point !== null).length / past.length : null);
        found.push({ key: 'past', label: say('history'), most: true, sort: (row) => share(row.cells[0].past), cell: (row) => spark(row.cells[0].past) });
      }
      if (data.hosts.length) {
        const words = (used) => (used === 1 ? say('used_1') : say('used_n', used));
        found.push({ key: 'used', label: say('used'), most: true, sort: (row) => row.mirror.used || null,
          cell: (row) => (row.mirror.used ? el('span', { class: 'number' }, words(row.mirror.used)) : null) });
      }
      for (const column of found) column.kept = true;
      if (one) return found;
      return found.concat(few.map((at, number) => ({
        key: 'site-' + at, label: upstream.sites[at].name, class: number < FEW + 1 ? 'cell' : 'cell far',
        sort: (row) => { const cell = row.mirror.cells[at]; return cell ? (cell.ok ? cell.ms || 0 : 1e12) : null; },
        cell: (row) => { const cell = row.mirror.cells[at]; return cell ? site(cell) : null; },
      })));
    }

    draw();
    return { node, rows, draw };
  }

  function figures(cell) {
    return [cell.ms > 0 && milliseconds(cell.ms), cell.bps > 0 && bytes(cell.bps)].filter(Boolean).join(' · ');
  }

  function site(cell) {
    const numbers = figures(cell);
    return [verdict(cell), numbers && el('small', {}, numbers), spark(cell.past)];
  }

  // What is wrong, or was noted, each said once with the sites it is true of.
  function reasons(upstream, mirror) {
    const said = new Map();
    mirror.cells.forEach((cell, at) => {
      if (!cell) return;
      const sentences = (cell.notes || []).map((note) => JSON.stringify([note]));
      if (cell.why || cell.at) sentences.unshift(JSON.stringify([cell.at || '', cell.why || '']));
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
        const [first, why] = JSON.parse(sentence);
        const where = upstream.sites.length > 1 && { text: someSites(sites) + ': ', class: 'where' };
        return why === undefined ? [where, noted(first)] : [where, first && say('at_step', named('steps', first)) + ': ', why && quoted(why)];
      });
      const few = lines.length > FEW + 2 ? lines.slice(0, FEW + 1) : lines;
      const rest = lines.slice(few.length);
      return lines.length ? el('div', { class: 'why' }, el('ul', {}, few.map((line) => el('li', {}, line))), rest.length > 0 && more(say('and_more', rest.length), rest)) : null;
    };
  }

  // ---- hosts

  // From the gravest on.
  const PROOFS = {
    FAILED: 0, 'rolled back': 1, pending: 2, 'a change, not proved': 3, 'a restart, not proved': 3, 'a reload, not proved': 4, 'not applied': 5,
    'would restart': 6, 'would reload': 7, 'would be written': 8, 'restarted, proved': 9, 'reloaded, proved': 10, 'nothing to do': 12,
  };
  const KINDS = {
    FAILED: 'bad', 'rolled back': 'bad', pending: 'wait', 'a change, not proved': 'wait', 'a restart, not proved': 'wait', 'a reload, not proved': 'wait',
    'not applied': 'wait', 'would restart': 'wait', 'would reload': 'wait', 'would be written': 'wait',
    proved: 'good', 'reloaded, proved': 'good', 'restarted, proved': 'good', written: 'good', 'read by podman': 'good',
  };
  // Hosts that nothing was done on, though something should have been. Of others that is said to be skipped.
  const LOST = { unreachable: ['bad', 0], 'held back, since hosts of an earlier wave failed': ['wait', 2] };

  function hosts() {
    const title = say('hosts');
    const rows = data.hosts.map((host) => ({ host }));
    const number = (some) => (some || []).length || null;
    const columns = [
      { key: 'name', label: say('host'), sort: (row) => row.host.name, cell: (row) => el('span', { class: 'name' }, row.host.name) },
      { key: 'engine', label: say('engine'), class: 'engine', sort: (row) => engines(row.host).join(),
        cell: (row) => engines(row.host).map((name) => el('div', {}, engineOf(name))) },
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
    const node = el('section', { 'aria-label': title, id: 'at-hosts' },
      el('div', { class: 'title' }, el('h2', {}, title)),
      el('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': title }, table('hosts', title, columns, rows)));
    return {
      node,
      rows,
      draw() {
        let count = 0;
        for (const row of rows) {
          hide(row.tr, !matches(row, row.tr));
          count += row.tr.hidden ? 0 : 1;
        }
        hide(node, count === 0);
        return [count, rows.length];
      },
    };
  }

  function engines(host) {
    const listed = (host.engines || []).map((one) => (one.engine + ' ' + (one.version || '')).trim());
    return [...new Set([...listed, host.engine, ...(host.upstreams || []).map((one) => one.engine)].filter(Boolean))];
  }

  // An engine, or that of a user.
  function engineOf(name) {
    const found = /^(Podman|BuildKit) of (.+)$/.exec(name);
    return found ? say('engine_of', found[1], found[2]) : name;
  }

  // Where a host has several engines, each has a line in the plan and in the proof.
  function several(host) {
    return (host.engines || []).length > 1 ? host.engines : [];
  }

  // What became of one engine, in a word of the table "proofs".
  function became(engine) {
    const acts = (word) => word === 'reload' || word === 'restart';
    if (engine.proved === true) return { reload: 'reloaded, proved', restart: 'restarted, proved' }[engine.applied] || 'proved';
    if (engine.proved === false || acts(engine.applied)) return `a ${acts(engine.applied) ? engine.applied : 'change'}, not proved`;
    if ((engine.pending || []).length) return 'pending';
    if (acts(engine.would_apply)) return 'would ' + engine.would_apply;
    return ['', 'none', undefined].includes(engine.plan) ? 'nothing to do' : 'not applied';
  }

  function rank(host) {
    if (host.skipped) return own(LOST, host.skipped, ['', 13])[1];
    return Math.min(...proofs(host).map((word) => own(PROOFS, word, 11)), 12);
  }

  // What became of a host: where it has several engines, and did not fail, the gravest of what became of them.
  function proofs(host) {
    const failed = (host.proof || []).filter((word) => ['FAILED', 'rolled back'].includes(word));
    if (!several(host).length) return host.proof || [];
    const each = several(host).map(became);
    return failed.length ? failed : [each.reduce((one, other) => (own(PROOFS, other, 11) < own(PROOFS, one, 11) ? other : one))];
  }

  function own(table, name, otherwise) {
    return Object.prototype.hasOwnProperty.call(table, name) ? table[name] : otherwise;
  }

  function plain(url) {
    return url.replace(/\/+$/, '').toLowerCase();
  }

  function urls(before, after) {
    const lines = after.length ? after : null;
    const parts = lines ? lines.slice(0, FEW).map((url) => el('div', { class: 'url' }, url.replace(/\/+$/, ''))) : [el('div', { class: 'soft' }, say('none'))];
    if (lines && lines.length > FEW) parts.push(more(say('and_more', lines.length - FEW), lines.slice(FEW).map((url) => ({ text: url, class: 'url' }))));
    if (before.map(plain).join('\n') !== after.map(plain).join('\n')) {
      const were = before.map((url) => url.replace(/\/+$/, ''));
      parts.push(el('div', { class: 'gone' }, say('was') + ' ', were.length ? el('span', { class: 'url' }, were.slice(0, FEW).join(', ')) : say('none')));
      if (were.length > FEW) parts.push(more(say('and_more', were.length - FEW), were.slice(FEW).map((url) => ({ text: url, class: 'url' }))));
    }
    return parts;
  }

  function mirrorsOf(host) {
    if (host.skipped) return null;
    const others = (host.upstreams || []).map((one) => [
      el('div', { class: 'group' }, engineOf(one.engine) + ' · ' + one.upstream + (one.proof ? ' · ' + named('proofs', one.proof) : '')),
      urls(one.before || [], one.after || []),
    ]);
    // That it has none is said of a Docker that was looked at.
    const docker = /^Docker\b/.test(engines(host)[0] || '');
    const own = host.after || host.before || (docker && !others.length) ? urls(host.before || [], host.after || []) : [];
    return [own, others].flat(3);
  }

  function planOf(host) {
    if (!host.plan) return null;
    const word = named('plans', host.plan);
    const each = several(host).filter((one) => one.plan && one.plan !== 'none');
    return [
      host.plan_reasons ? more(word, host.plan_reasons.map(quoted)) : el('div', {}, word),
      each.map((one) => el('div', { class: 'each' }, one.engine + ': ' + named('plans', one.plan))),
    ].flat();
  }

  function proofOf(host) {
    if (host.skipped) {
      const lost = own(LOST, host.skipped, null), why = named('skips', host.skipped);
      return el('span', { class: 'long' }, lost ? signed(lost[0], why) : signed('skip', say('skipped', why)));
    }
    const parts = proofs(host).map((word) => el('div', {}, signed(own(KINDS, word, 'skip'), named('proofs', word))));
    for (const one of several(host)) {
      parts.push(el('div', { class: 'each' }, signed(own(KINDS, became(one), 'skip'), one.engine + ': ' + named('proofs', became(one)))));
    }
    if (host.failures) parts.push(more(say('reasons'), host.failures.map(quoted)));
    if (host.kept) parts.push(el('div', { class: 'soft' }, say('kept', host.kept[0], host.kept[1])));
    return parts;
  }

  function counted(kind, sentences) {
    return sentences ? more(signed(kind, say('n_sentences', sentences.length)), sentences.map(quoted)) : null;
  }

  function refreshOf(refresh) {
    if (!refresh) return null;
    const lines = Object.entries(refresh.mirrors || {}).map(([upstream, some]) => upstream + ': ' + some.join(', '));
    if (refresh.because) lines.unshift(quoted(refresh.because));
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
        const tr = el('li', {}, el('span', { class: 'hosts' }, names), rest && [' ', rest], ': ', quoted(note.text));
        rows.push({ tr, also: small([named('kinds', kind), ...(total ? note.hosts : [])].join('\n')) });
        return tr;
      });
      return el('div', {}, el('h3', {}, named('kinds', kind)), el('ul', {}, items));
    });
    const node = el('section', { 'aria-label': title, id: 'at-notes' },
      el('div', { class: 'title' }, el('h2', {}, title)), el('div', { class: 'notes' }, parts));
    return {
      node,
      rows,
      draw() {
        let count = 0;
        for (const row of rows) {
          hide(row.tr, !matches(row, row.tr, (word) => row.also.includes(word)));
          count += row.tr.hidden ? 0 : 1;
        }
        for (const part of parts) hide(part, ![...part.lastChild.children].some((li) => !li.hidden));
        hide(node, count === 0);
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
        el('button', { type: 'button', id: 'language', lang: other, click: () => guarded(() => speak(other)) }, say('other_language')),
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
      if (sum.hosts_unreachable) box('bad', say('n_unreachable'), sum.hosts_unreachable);
      if (sum.hosts_held_back) box('wait', say('n_held_back'), sum.hosts_held_back);
      if (sum.hosts_drift) box('drift', say('n_drift'), sum.hosts_drift);
      if (sum.hosts_skipped) box('skip', say('n_skipped'), sum.hosts_skipped);
    }
    return boxes.length ? el('dl', { class: 'numbers' }, boxes) : el('p', {}, say('nothing'));
  }

  function find() {
    const status = el('span', { role: 'status', id: 'found' });
    const input = el('input', { type: 'search', id: 'search', placeholder: say('search_hint'), autocomplete: 'off', spellcheck: 'false', input: typed });
    input.value = page.words;
    return el('div', { class: 'find', role: 'search' }, el('label', { for: 'search' }, say('search')), input, status);
  }

  // A fleet is long: the way to each of its parts, those of the mirrors together.
  function jump() {
    const links = ['mirrors', 'hosts', 'notes'].filter((name) => page.tables.some((part) => part.node.id.startsWith('at-' + name)));
    return links.length > 1 && el('nav', { class: 'jump', 'aria-label': say('jump') },
      links.map((name) => el('a', { href: '#at-' + name, 'data-part': 'at-' + name }, say(name))));
  }

  // Each leads to the first such part that has something to show.
  function leadOn() {
    for (const link of document.querySelectorAll('.jump a')) {
      const part = page.tables.find((one) => !one.node.hidden && one.node.id.startsWith(link.dataset.part));
      hide(link, !part);
      if (part) link.setAttribute('href', '#' + part.node.id);
    }
  }

  function typed() {
    clearTimeout(page.timer);
    page.words = document.getElementById('search').value;
    document.documentElement.dataset.searching = '1';
    page.timer = setTimeout(() => guarded(look), PAUSE_MS);
  }

  function look() {
    clearTimeout(page.timer);
    delete document.documentElement.dataset.searching;
    if (!page.tables.length) return;
    page.query = [...new Set(small(page.words).split(/\s+/).filter(Boolean))];
    let shown = 0, all = 0;
    for (const part of page.tables) {
      const [count, total] = part.draw();
      shown += count;
      all += total;
    }
    leadOn();
    document.getElementById('found').textContent = !page.query.length ? '' : shown ? say('found', shown, all) : say('no_match');
  }

  // Only what changes is touched: the browser then need not look at the rest again.
  function hide(node, hidden) {
    if (node.hidden !== hidden) node.hidden = hidden;
  }

  function isDark() {
    return (document.documentElement.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
  }

  function paint(theme) {
    document.documentElement.dataset.theme = theme;
    remember('theme', theme);
    document.getElementById('theme').textContent = say(isDark() ? 'to_light' : 'to_dark');
  }

  // What is open stays open in the other language: its rows and lists are the same, in the same order.
  function speak(lang) {
    const lists = (row) => [...row.tr.querySelectorAll('details')];
    const opened = page.tables.map((part) => part.rows.map((row) => lists(row).map((one) => one.open)));
    page.lang = lang;
    remember('lang', lang);
    draw();
    page.tables.forEach((part, a) => part.rows.forEach((row, b) => opened[a][b].some(Boolean) && lists(row).forEach((one, c) => opened[a][b][c] && open(one))));
    document.getElementById('language').focus();
  }

  function draw() {
    document.documentElement.lang = page.lang === 'zh' ? 'zh-Hans' : 'en';
    document.title = say('title');
    if (data.hosts.length + data.upstreams.reduce((sum, one) => sum + one.mirrors.length * one.sites.length, 0) > LARGE) document.documentElement.dataset.large = '1';
    page.tables = data.upstreams.map(matrix);
    if (data.hosts.length) page.tables.push(hosts());
    if (data.notes.length) page.tables.push(notes());
    document.getElementById('head').replaceChildren(head());
    const banner = data.check_mode ? el('p', { class: 'banner' }, sign('wait'), ' ', say('check_mode')) : '';
    const tools = page.tables.length ? [find(), jump() || ''] : [];
    document.getElementById('body').replaceChildren(banner, numbers(), ...tools, ...page.tables.map((part) => part.node));
    look();
  }

  // A fault of the page must not hide the report: the text for browsers without a script is shown then.
  function guarded(work) {
    try {
      work();
    } catch (error) {
      console.error(error);
      const text = new DOMParser().parseFromString(document.querySelector('noscript').textContent, 'text/html');
      const copies = [...text.querySelectorAll('h1, p, pre')].map((one) => {
        const copy = document.createElement(one.localName);
        copy.textContent = one.textContent.split('\n').map(tame).join('\n');
        return copy;
      });
      copies.unshift(el('p', { class: 'banner', role: 'alert' }, say('fault')));
      document.getElementById('head').replaceChildren();
      document.getElementById('body').replaceChildren(...copies);
      document.getElementById('body').className = 'plain';
    }
  }

  guarded(() => {
    if (['light', 'dark'].includes(remembered('theme'))) document.documentElement.dataset.theme = remembered('theme');
    data = JSON.parse(document.getElementById('data').textContent);
    draw();
  });
  document.documentElement.dataset.drawn = String(performance.now());
})();
