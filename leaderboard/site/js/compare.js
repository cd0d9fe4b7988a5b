// Two to four models, task by task. The differences of a model are a file of their own
// (compare/SLUG.js, a call of cmedtebCompared) that is loaded when it is asked for: a page from a
// disk may load a script, not fetch data. A pair lies in the file of the one whose slug is smaller.
const MOST = 4;
const loaded = new Map();
const waiting = new Map();
let drawing = 0;

window.cmedtebCompared = (comparisons) => waiting.get(comparisons.model)?.(comparisons);

function load(slug) {
  if (!loaded.has(slug)) {
    loaded.set(slug, new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = `compare/${encodeURIComponent(slug)}.js`;
      waiting.set(slug, resolve);
      script.onerror = () => {
        loaded.delete(slug);
        reject(new Error(say('compare.failed', { file: script.src })));
      };
      document.head.append(script);
    }));
  }
  return loaded.get(slug);
}

async function differences(first, other) {
  const turned = other < first;
  const { columns, against } = await load(turned ? other : first);
  const row = against[turned ? first : other] ?? [];
  return new Map(columns.map((column, place) => [column, row[place] && turn(row[place], turned)]));
}

function turn([difference, low, high, p, holm, wins, ties, losses], turned) {
  return turned
    ? { difference: -difference, low: -high, high: -low, p, holm, wins: losses, ties, losses: wins }
    : { difference, low, high, p, holm, wins, ties, losses };
}

const modelName = (slug) => $(`.board tr[data-m="${CSS.escape(slug)}"] .model a`)?.textContent ?? slug;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

async function applyCompare() {
  const turnNumber = ++drawing;
  const chosen = state.compare;
  for (const box of $$('.choose')) {
    box.checked = chosen.includes(box.value);
    box.disabled = chosen.length >= MOST && !box.checked;
  }
  applyChosen();
  $('#tray').hidden = chosen.length === 0;
  const names = chosen.map(modelName).join(root.lang === 'zh' ? '、' : ', ');
  const hint = chosen.length === 1 ? say('compare.more') : chosen.length === MOST ? say('compare.full') : '';
  $('#tray-names').textContent = hint ? `${names} · ${hint}` : names;
  $('#tray-open').disabled = chosen.length < 2;
  $('#compare').hidden = chosen.length < 2;
  if (chosen.length < 2) return;
  const [first, ...others] = chosen;
  let found;
  try {
    found = await Promise.all(others.map((other) => differences(first, other)));
  } catch (error) {
    $('#compare-body').replaceChildren(element('p', {}, error.message));
    return;
  }
  if (turnNumber === drawing) $('#compare-body').replaceChildren(comparison(first, others, found));
}

function comparison(first, others, found) {
  const tasks = $$('thead th.s', openBench()).map((th) => th.dataset.k);
  const columns = [...tasks, state.tab].filter((column) => found.some((row) => row.get(column)));
  if (columns.length === 0) return element('p', {}, say('compare.nothing'));
  const cells = columns.flatMap((column) => found.map((row) => row.get(column))).filter(Boolean);
  const reach = Math.max(...cells.flatMap(({ low, high }) => [Math.abs(low), Math.abs(high)]), 1e-6);
  const body = element('tbody');
  for (const column of columns) {
    const mean = column === state.tab;
    const label = mean ? say('compare.mean', { benchmark: column }) : column;
    const row = element('tr', { className: mean ? 'mean' : '' }, element('th', { scope: 'row' }, label));
    found.forEach((values, place) => row.append(...pairCells(values.get(column), reach, first, others[place])));
    body.append(row);
  }
  const table = element('table', { className: others.length > 1 ? 'plain several' : 'plain' }, ...comparisonHead(first, others), body);
  const region = element('div', { className: 'region', tabIndex: 0, role: 'group' }, table);
  region.setAttribute('aria-labelledby', 'compare-title');
  return region;
}

function comparisonHead(first, others) {
  const caption = element('caption', { className: 'vh' }, [first, ...others].map(modelName).join(', '));
  const groups = element('tr', { className: 'against' }, element('td'));
  const head = element('tr', {}, element('th', { scope: 'col' }, say('compare.task')));
  for (const other of others) {
    const label = say('compare.against', { first: modelName(first), other: modelName(other) });
    groups.append(element('th', { scope: 'colgroup', colSpan: 4 }, label));
    for (const key of ['plot', 'difference', 'wtl', 'p']) {
      const kind = key === 'plot' ? 'plot' : 'r';
      head.append(element('th', { scope: 'col', className: kind }, say(`compare.${key}`)));
    }
  }
  return [caption, element('thead', {}, groups, head)];
}

const signed = (value, places) => {
  const text = Math.abs(100 * value).toFixed(places);
  return Number(text) === 0 ? text : `${value < 0 ? '\u2212' : '+'}${text}`;
};

function pairCells(found, reach, first, other) {
  if (!found) return [element('td', { className: 'none', colSpan: 4 }, '\u2014')];
  const sure = found.holm < 0.05;
  const key = !sure ? 'same' : found.difference > 0 ? 'better' : 'worse';
  const verdict = say(`compare.${key}`, { first: modelName(first), other: modelName(other) });
  const value = element(sure ? 'b' : 'span', {}, signed(found.difference, 2));
  const bounds = element('small', {}, ` ${signed(found.low, 1)} \u2026 ${signed(found.high, 1)}`);
  return [
    element('td', { className: 'plot' }, forest(found, reach, sure), element('span', { className: 'vh' }, verdict)),
    element('td', { className: 'r verdict' }, value, bounds),
    element('td', { className: 'r verdict' }, `${found.wins} / ${found.ties} / ${found.losses}`),
    element('td', { className: 'r' }, found.holm < 0.001 ? '< 0.001' : found.holm.toFixed(3)),
  ];
}

function forest({ difference, low, high }, reach, sure) {
  const namespace = 'http://www.w3.org/2000/svg';
  const at = (value) => (120 + (112 * value) / reach).toFixed(1);
  const part = (tag, attributes) => {
    const made = document.createElementNS(namespace, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const svg = part('svg', { class: 'forest', viewBox: '0 0 240 24', 'aria-hidden': 'true' });
  svg.append(
    part('path', { class: 'axis', d: 'M120 0V24' }),
    part('path', { class: 'bar', d: `M${at(low)} 12H${at(high)}` }),
    part('circle', { class: sure ? 'dot sure' : 'dot', cx: at(difference), cy: 12, r: 4 }),
  );
  return svg;
}

function setUpCompare() {
  const known = new Set($$('.choose').map((box) => box.value));
  state.compare = state.compare.filter((slug) => known.has(slug));
  document.addEventListener('change', ({ target }) => {
    if (!target.classList.contains('choose')) return;
    const others = state.compare.filter((slug) => slug !== target.value);
    change({ compare: target.checked ? [...others, target.value] : others });
    applyCompare();
  });
  $('#tray-open').addEventListener('click', () => {
    $('#compare').scrollIntoView();
    $('#compare-title').focus({ preventScroll: true });
  });
  $('#tray-clear').addEventListener('click', () => {
    change({ compare: [] });
    applyCompare();
    $('#filter').focus();
  });
  whenLanguageChanges.push(applyCompare);
}
