// Puts the parts together. Pages of a model or a task have only settings.
function applyAll() {
  applyTab();
  applySort();
  applyRows();
  applyCost();
  applyCompare();
}

setUpSettings();
if ($('.board')) {
  $('#controls').hidden = false;
  setUpTabs();
  setUpRows();
  setUpSort();
  setUpJudgements();
  setUpCharts();
  setUpCompare();
  setUpCopy();
  applyAll();
}
applyLanguage();
performance.mark('interactive');
