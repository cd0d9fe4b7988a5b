// Sorting: each heading becomes a button, `aria-sort` says what holds. What is missing stays last
// in both directions.
const numberIn = (cell) => {
  // The score and the interval under it are apart for the eye only: glue keeps the digits apart.
  const text = cell.dataset.v ?? shownText(cell, ' ').trim();
  return Number.parseFloat(text.replace('\u2212', '-'));
};

function sortedBy(table, key, direction) {
  const heading = $$('thead tr:last-child th', table).find((th) => th.dataset.k === key);
  if (!heading) return false;
  const place = heading.cellIndex;
  const sign = direction === 'ascending' ? 1 : -1;
  const keyed = $$('tbody tr', table).map((row) => {
    const cell = row.cells[place];
    return [key === 'model' ? $('a', cell).textContent.toLowerCase() : numberIn(cell), row];
  });
  const collator = new Intl.Collator('en', { numeric: true });
  keyed.sort(([a], [b]) => {
    if (key === 'model') return sign * collator.compare(a, b);
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return sign * (a - b);
  });
  table.tBodies[0].append(...keyed.map(([, row]) => row));
  for (const th of $$('thead th[data-k]', table)) th.ariaSort = th === heading ? direction : null;
  return true;
}

function applySort() {
  const table = $('.board', openBench());
  const [, minus, key] = /^(-?)(.*)$/.exec(state.sort);
  const done = key && sortedBy(table, key, minus ? 'descending' : 'ascending');
  if (!done) sortedBy(table, 'rank', 'ascending');
}

function setUpSort() {
  for (const th of $$('.board thead th[data-k]')) {
    const label = $('.h', th);
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'sort';
    label.replaceWith(button);
    button.append(label);
    button.addEventListener('click', () => {
      const first = th.dataset.k === 'model' || th.dataset.first === 'up' ? 'ascending' : 'descending';
      const other = first === 'ascending' ? 'descending' : 'ascending';
      const direction = th.ariaSort === first ? other : first;
      change({ sort: (direction === 'descending' ? '-' : '') + th.dataset.k });
      applySort();
      announce(say(`sorted.${direction}`, { column: shownText(label) }));
    });
  }
}
