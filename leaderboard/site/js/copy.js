// The table as it stands, filtered and sorted, for a paper or a spreadsheet.
function viewed() {
  const table = $('.board', openBench());
  const headings = $$('thead th[data-k]', table);
  const columns = headings.map((th) => th.dataset.k);
  const shown = $$('tbody tr', table).filter((row) => !row.hidden)
    .map((row) => headings.map((th) => row.cells[th.cellIndex]));
  const rows = shown.map((cells) => cells.map((cell, place) => written(columns[place], cell)));
  const top = shown.map((cells) => cells.map((cell) => cell.classList.contains('top')));
  return { columns, rows, top };
}

function written(column, cell) {
  if (column === 'model') return $('a', cell).textContent;
  if (column === 'size') return cell.dataset.v ?? '';
  const value = numberIn(cell);
  if (Number.isNaN(value)) return '';
  return ['rank', 'borda'].includes(column) ? String(value) : value.toFixed(2);
}

// A spreadsheet runs what begins like a formula.
const csvCell = (text) => {
  const safe = /^[=+@\t\r-]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};
const texSigns = { '\\': '\\textbackslash{}', '~': '\\textasciitilde{}', '^': '\\textasciicircum{}' };
const tex = (text) => text.replace(/[\\~^]|[&%$#_{}]/g, (sign) => texSigns[sign] ?? `\\${sign}`);

const FORMATS = {
  csv: ({ columns, rows }) => [columns, ...rows].map((row) => row.map(csvCell).join(',')).join('\r\n'),
  json: ({ columns, rows }) => JSON.stringify(rows.map((row) => Object.fromEntries(row.map((value, place) => {
    const text = columns[place] === 'model';
    return [columns[place], value === '' ? null : text ? value : Number(value)];
  }))), null, 1),
  latex: ({ columns, rows, top }) => [
    `\\begin{tabular}{l${'r'.repeat(columns.length - 1)}}`,
    '\\toprule',
    `${columns.map(tex).join(' & ')} \\\\`,
    '\\midrule',
    ...rows.map((row, number) => `${row.map((value, place) =>
      top[number][place] ? `\\textbf{${tex(value)}}` : tex(value) || '--').join(' & ')} \\\\`),
    '\\bottomrule',
    '\\end{tabular}',
  ].join('\n'),
};

async function copyAs(format) {
  const view = viewed();
  const text = format === 'bibtex' ? $(`#bibtex-${CSS.escape(state.tab)}`)?.textContent ?? '' : FORMATS[format](view);
  try {
    await navigator.clipboard.writeText(text);
    announce(format === 'bibtex' ? say('copied.bibtex') : say('copied', { format, rows: view.rows.length }));
  } catch {
    byHand(text);
  }
}

// Where the browser keeps the clipboard from a page, the text is shown, selected.
function byHand(text) {
  const area = element('textarea', { value: text, readOnly: true });
  const close = element('button', { type: 'button' }, say('close'));
  const label = element('label', {}, say('copy.by-hand'), area);
  const dialog = element('dialog', {}, label, close);
  close.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  area.select();
}

function setUpCopy() {
  for (const block of $$('.copy')) block.hidden = false;
  for (const button of $$('[data-copy]')) {
    button.addEventListener('click', () => copyAs(button.dataset.copy));
  }
}
