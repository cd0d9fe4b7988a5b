// All that a reader chose stands in the address, so a copied address shows the same view.
// A plain anchor (#about) is left alone until something is chosen.
const LISTS = ['chips', 'compare'];
const state = readState();

function readState() {
  const asked = new URLSearchParams(location.hash.includes('=') ? location.hash.slice(1) : '');
  const list = (name) => (asked.get(name) ?? '').split(',').filter(Boolean);
  return {
    tab: asked.get('tab') ?? '',
    sort: asked.get('sort') ?? '',
    q: asked.get('q') ?? '',
    chips: list('chips'),
    cost: asked.get('cost') ?? '',
    judgements: asked.get('judgements') ?? '',
    compare: [...new Set(list('compare'))].slice(0, 4),
    lang: asked.get('lang') ?? '',
    theme: asked.get('theme') ?? '',
  };
}

function change(values) {
  Object.assign(state, values);
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    const written = LISTS.includes(name) ? value.join(',') : value;
    if (written) parts.set(name, written);
  }
  const hash = parts.toString().replaceAll('%2C', ',').replaceAll('%40', '@');
  history.replaceState(null, '', `${location.pathname}${location.search}${hash ? `#${hash}` : ''}`);
}

const judgements = () => $('#judgements-original')?.checked ? 'original' : 'relabelled';
