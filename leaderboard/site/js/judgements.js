// Original or relabelled: CSS shows one of the two values; the order follows.
function applyJudgements() {
  root.dataset.judgements = judgements();
}

function setUpJudgements() {
  const inputs = $$('input[name="judgements"]');
  for (const input of inputs) {
    if (input.value === state.judgements) input.checked = true;
    input.addEventListener('change', () => {
      change({ judgements: input.value });
      applyJudgements();
      applySort();
    });
  }
  applyJudgements();
}
