// Without a script the benchmarks follow one another and the tabs are links to them.
const tabs = () => $$('[data-tab]');

function applyTab() {
  for (const tab of tabs()) {
    const on = tab.dataset.tab === state.tab;
    tab.ariaSelected = String(on);
    tab.tabIndex = on ? 0 : -1;
    $(`#bench-${CSS.escape(tab.dataset.tab)}`).classList.toggle('open', on);
  }
}

function openTab(tab) {
  change({ tab: tab.dataset.tab });
  applyTab();
  applySort();
  applyRows();
  applyCompare();
}

function setUpTabs() {
  const list = $('.tabs');
  list.before($('#tabs-label'));
  list.role = 'tablist';
  const names = tabs().map((tab) => tab.dataset.tab);
  if (!names.includes(state.tab)) state.tab = anchored(names) ?? names[0];
  tabs().forEach((tab, place, all) => {
    const panel = $(`#bench-${CSS.escape(tab.dataset.tab)}`);
    tab.role = 'tab';
    tab.id = `tab-${tab.dataset.tab}`;
    tab.setAttribute('aria-controls', panel.id);
    panel.role = 'tabpanel';
    panel.setAttribute('aria-labelledby', tab.id);
    tab.addEventListener('click', (event) => {
      event.preventDefault();
      openTab(tab);
    });
    tab.addEventListener('keydown', (event) => {
      const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: all.length - 1, ' ': place }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = all[(to + all.length) % all.length];
      openTab(next);
      next.focus();
    });
  });
}

// #bench-NAME is what a tab links to without a script; such an address still opens that tab.
const anchored = (names) => names.find((name) => location.hash === `#bench-${name}`);
