// Languages and colours. Texts of the page stand in it twice and CSS shows one; only what the
performance.mark('script');
// script itself says is looked up here.
const root = document.documentElement;
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const texts = JSON.parse($('#strings').textContent);
const whenLanguageChanges = [];

const say = (key, values = {}) =>
  texts[root.lang][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

// What a reader sees of an element: the other language and the other judgements do not count.
function shownText(element, glue = '') {
  if (element.nodeType === Node.TEXT_NODE) return element.textContent;
  if (element.nodeType !== Node.ELEMENT_NODE) return '';
  const { lang } = element;
  if ((lang === 'zh' || lang === 'en') && lang !== root.lang) return '';
  if (element.classList.contains(judgements() === 'original' ? 'now' : 'was')) return '';
  return [...element.childNodes].map((child) => shownText(child, glue)).join(glue);
}

// Status for those who do not see what changed. The same words twice would not be read again.
function announce(text) {
  const live = $('#live');
  live.textContent = '';
  requestAnimationFrame(() => { live.textContent = text; });
}

function keep(name, value) {
  try {
    localStorage.setItem(`cmedteb.${name}`, value);
  } catch {
    // nothing is kept for pages from a disk here; the address still carries it
  }
}

function applyLanguage() {
  $(`#language-${root.lang}`).checked = true;
  const title = $('title');
  if (title.dataset[root.lang]) document.title = title.dataset[root.lang];
  for (const refresh of whenLanguageChanges) refresh();
}

function setUpSettings() {
  $(`#theme-${root.dataset.theme}`).checked = true;
  for (const input of $$('input[name="language"]')) {
    input.addEventListener('change', () => {
      root.lang = input.value;
      keep('lang', input.value);
      change({ lang: input.value });
      applyLanguage();
    });
  }
  for (const input of $$('input[name="theme"]')) {
    input.addEventListener('change', () => {
      root.dataset.theme = input.value;
      keep('theme', input.value);
      change({ theme: input.value });
    });
  }
  $('.settings').addEventListener('submit', (event) => event.preventDefault());
}
