// One chart at a time, and a word about the mark under the pointer. All marks are in the page
// already; who does not point reads the table below each chart.
function applyCost() {
  for (const bench of $$('.bench')) {
    const figures = $$('.chart', bench);
    const chosen = figures.find((figure) => figure.dataset.cost === state.cost) ?? figures[0];
    for (const figure of figures) figure.hidden = figure !== chosen;
    for (const input of $$('input[name="cost"]', bench)) input.checked = input.value === chosen.dataset.cost;
  }
}

function applyChosen() {
  for (const mark of $$('.p')) mark.classList.toggle('chosen', state.compare.includes(mark.dataset.m));
}

function setUpCharts() {
  for (const form of $$('.chart-choice')) {
    form.hidden = $$('input', form).length < 2;
    form.addEventListener('change', (event) => {
      change({ cost: event.target.value });
      applyCost();
    });
  }
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  tip.ariaHidden = 'true';
  for (const svg of $$('.chart .region svg')) {
    svg.addEventListener('pointerover', (event) => showTip(tip, event.target.closest('.p')));
    svg.addEventListener('pointerleave', () => { tip.hidden = true; });
    svg.addEventListener('click', (event) => {
      const mark = event.target.closest('.p');
      if (mark) location.href = `model/${encodeURIComponent(mark.dataset.m)}.html`;
    });
  }
}

function showTip(tip, mark) {
  tip.hidden = mark === null;
  if (mark === null) return;
  const region = mark.closest('.region');
  const name = document.createElement('b');
  name.textContent = mark.dataset.n;
  const { c: cost, s: score, i: interval } = mark.dataset;
  tip.replaceChildren(name, interval ? say('tip', { cost, score, interval }) : `${cost} · ${score}`);
  region.append(tip);
  const frame = region.getBoundingClientRect();
  const at = $('.m', mark).getBoundingClientRect();
  const left = at.left - frame.left + region.scrollLeft;
  const fits = at.right + 12 + tip.offsetWidth < frame.right;
  tip.style.left = `${fits ? left + at.width + 8 : left - tip.offsetWidth - 8}px`;
  tip.style.top = `${Math.max(0, at.top - frame.top - tip.offsetHeight / 2)}px`;
}
