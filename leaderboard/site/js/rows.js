// Which models are shown: a text, and chips that all have to hold. Rows, marks of the charts and
// their tables follow.
const searchable = new Map();
const openBench = () => $(`#bench-${CSS.escape(state.tab)}`);

function holds(row) {
  const { m: slug, f: flags } = row.dataset;
  if (!searchable.has(slug)) searchable.set(slug, $('.model', row).textContent.toLowerCase());
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const has = flags.split(' ');
  return words.every((word) => searchable.get(slug).includes(word)) && state.chips.every((chip) => has.includes(chip));
}

// Of the open benchmark only; the others follow when they are opened.
function applyRows() {
  const bench = openBench();
  const rows = $$('.board tbody tr', bench);
  const left = new Set();
  for (const row of rows) {
    row.hidden = !holds(row);
    if (!row.hidden) left.add(row.dataset.m);
  }
  for (const mark of $$('.p', bench)) mark.classList.toggle('faded', !left.has(mark.dataset.m));
  for (const row of $$('.chart tbody tr', bench)) row.hidden = !left.has(row.dataset.m);
  $('.none-left', bench).hidden = left.size > 0;
  $('#count').textContent = say('count', { shown: left.size, all: rows.length });
}

function setUpRows() {
  const input = $('#filter');
  input.value = state.q;
  input.addEventListener('input', () => {
    change({ q: input.value.trim() });
    applyRows();
  });
  for (const chip of $$('[data-chip]')) {
    const name = chip.dataset.chip;
    chip.setAttribute('aria-pressed', state.chips.includes(name));
    chip.addEventListener('click', () => {
      const on = !state.chips.includes(name);
      chip.setAttribute('aria-pressed', on);
      change({ chips: on ? [...state.chips, name] : state.chips.filter((other) => other !== name) });
      applyRows();
    });
  }
  for (const form of $$('form.controls')) form.addEventListener('submit', (event) => event.preventDefault());
  whenLanguageChanges.push(applyRows);
}
