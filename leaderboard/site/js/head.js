// Before anything is painted: language and colours, from the address, what was chosen before, or
// the browser. The rest waits for the page.
(() => {
  'use strict';
  const root = document.documentElement;
  const asked = new URLSearchParams(location.hash.includes('=') ? location.hash.slice(1) : '');
  const query = new URLSearchParams(location.search);
  const kept = (name) => {
    try {
      return localStorage.getItem(`cmedteb.${name}`);
    } catch {
      return null; // some browsers keep nothing for pages from a disk
    }
  };
  const pick = (allowed, ...wishes) => wishes.find((wish) => allowed.includes(wish));
  const browser = (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2).toLowerCase());
  root.lang = pick(['zh', 'en'], asked.get('lang'), query.get('lang'), kept('lang'), ...browser) ?? 'en';
  root.dataset.theme = pick(['auto', 'light', 'dark'], asked.get('theme'), query.get('theme'), kept('theme')) ?? 'auto';
  root.classList.add('js');
})();
