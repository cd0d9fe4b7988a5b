"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const items = data.items;
  const key = `cmedteb-review:${data.export}`;
  const byId = new Map(items.map((item, place) => [item.id, place]));
  const at = (id) => document.getElementById(id);
  const answers = new Map();
  const settings = { language: "zh", advance: true };
  let place = 0;
  let notice = null;

  const words = () => data.words[settings.language];
  const say = (name, ...values) =>
    values.reduce((text, value, index) => text.replace(`{${index}}`, value), words()[name]);
  const answer = (item) => answers.get(item.id) || { score: null, unsure: false, comment: "" };
  const isOpen = (item) => answer(item).score === null && !answer(item).unsure;

  // What is kept in this browser: answers by item, the place, the settings.
  function save() {
    const kept = { answers: [...answers], place, settings };
    try {
      localStorage.setItem(key, JSON.stringify(kept));
      notice = ["saved", new Date().toLocaleTimeString(settings.language)];
    } catch {
      warn("not_saved");
    }
    showState();
  }

  function recall() {
    let kept = null;
    try {
      kept = JSON.parse(localStorage.getItem(key) || "null");
    } catch {
      warn("not_saved");
    }
    if (!kept) return;
    for (const [id, value] of kept.answers) if (byId.has(id)) answers.set(id, value);
    Object.assign(settings, kept.settings);
    place = Math.min(Math.max(0, kept.place), items.length - 1);
    if (answers.size) notice = ["restored", answers.size];
  }

  function warn(name) {
    at("warning").textContent = say(name);
    at("warning").dataset.name = name;
    at("warning").hidden = false;
  }

  // Answers as lines of JSON, in the order of the items.
  function lines() {
    return items
      .filter((item) => answers.has(item.id))
      .map((item) => {
        const { score, unsure, comment, at: when } = answer(item);
        const row = { item: item.id, reviewer: data.reviewer, phase: data.phase, export: data.export,
          text_hash: item.hash, score, unsure, comment, at: when };
        return JSON.stringify(row) + "\n";
      })
      .join("");
  }

  function download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines()], { type: "application/jsonl" }));
    link.download = data.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  async function restore(file) {
    const found = [];
    try {
      for (const line of (await file.text()).split("\n")) {
        if (!line.trim()) continue;
        const row = JSON.parse(line);
        if (row.export !== data.export || !byId.has(row.item)) throw new Error(row.item);
        found.push([row.item, { score: row.score, unsure: row.unsure, comment: row.comment, at: row.at }]);
      }
    } catch {
      warn("not_this_file");
      return;
    }
    at("warning").hidden = true;
    for (const [id, value] of found) answers.set(id, value);
    save();
    notice = ["loaded", found.length];
    render();
    showOverview();
  }

  function change(values) {
    const item = items[place];
    answers.set(item.id, { ...answer(item), ...values, at: new Date().toISOString() });
  }

  function grade(score) {
    change({ score });
    if (score !== null && settings.advance && place + 1 < items.length) place += 1;
    save();
    render();
  }

  function toggleUnsure() {
    change({ unsure: !answer(items[place]).unsure });
    save();
    render();
  }

  function go(to) {
    place = Math.min(Math.max(0, to), items.length - 1);
    save();
    render();
    window.scrollTo(0, 0);
  }

  function nextOpen() {
    const order = [...items.keys()].map((step) => (place + 1 + step) % items.length);
    const open = order.find((one) => isOpen(items[one]));
    if (open !== undefined) go(open);
  }

  function element(tag, text, name) {
    const made = document.createElement(tag);
    made.textContent = text;
    if (name) made.className = name;
    return made;
  }

  function render() {
    const item = items[place];
    const now = answer(item);
    at("query").textContent = item.query;
    at("document").textContent = item.document;
    at("cut").hidden = !item.cut;
    at("position").textContent = say("position", place + 1, items.length);
    at("length").textContent = say("characters", [...item.document].length);
    at("opinions").hidden = !item.opinions.length;
    at("opinion-list").replaceChildren(...item.opinions.map((one) => {
      const row = document.createElement("li");
      row.append(element("b", one.grade ?? say("no_grade")), element("span", one.judge, "judge"),
        element("span", one.reason, "reason"));
      return row;
    }));
    for (const button of at("scale").children) {
      const chosen = Number(button.dataset.score) === now.score;
      button.setAttribute("aria-checked", chosen);
      button.tabIndex = chosen || (now.score === null && button.dataset.score === "1") ? 0 : -1;
    }
    at("unsure").setAttribute("aria-pressed", now.unsure);
    if (document.activeElement !== at("comment")) at("comment").value = now.comment;
    at("previous").disabled = place === 0;
    at("next").disabled = place + 1 === items.length;
    showState();
  }

  function showState() {
    const done = items.filter((item) => !isOpen(item)).length;
    at("progress").max = items.length;
    at("progress").value = done;
    at("count").textContent = say("done", done, items.length);
    at("finished").hidden = done < items.length;
    at("saved").textContent = notice ? say(...notice) : "";
  }

  function showOverview() {
    const kinds = items.map((item) => {
      const { score, unsure } = answer(item);
      return unsure ? "unsure" : score === null ? "open" : "graded";
    });
    const count = (kind) => kinds.filter((one) => one === kind).length;
    at("tally").textContent = say("tally", count("graded"), count("unsure"), count("open"));
    at("cells").replaceChildren(...items.map((item, index) => {
      const cell = document.createElement("li");
      const { score } = answer(item);
      const button = element("button", `${index + 1}${score === null ? "" : ` (${score})`}`, kinds[index]);
      button.type = "button";
      button.setAttribute("aria-current", index === place);
      button.setAttribute("aria-label", `${index + 1}: ${say(`state_${kinds[index]}`, score)}`);
      button.addEventListener("click", () => { at("overview").close(); go(index); });
      cell.append(button);
      return cell;
    }));
  }

  // Words of the page; texts of the data set and the rubric stay as they are.
  function speak() {
    document.documentElement.lang = settings.language === "zh" ? "zh-CN" : "en";
    document.title = `${say("title")} ${data.task}`;
    for (const one of document.querySelectorAll("[data-i18n]")) one.textContent = say(one.dataset.i18n);
    at("phase").textContent = say(data.phase);
    at("language").textContent = say("language");
    at("language").lang = settings.language === "zh" ? "en" : "zh-CN";
    at("comment").placeholder = say("comment");
    at("comment").setAttribute("aria-label", say("comment"));
    at("scale").setAttribute("aria-label", say("scale"));
    if (!at("warning").hidden) warn(at("warning").dataset.name);
    at("help-list").replaceChildren(...words().keys.map(([name, meaning]) => {
      const row = document.createElement("li");
      row.append(element("kbd", name), meaning);
      return row;
    }));
    at("scale").replaceChildren(...data.anchors.map((anchor) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.score = anchor.grade;
      button.title = anchor.text;
      button.setAttribute("role", "radio");
      button.append(element("strong", anchor.grade), element("span", anchor.name || words().grades[anchor.grade - 1]));
      button.addEventListener("click", () => grade(anchor.grade));
      return button;
    }));
    render();
  }

  function open(name) {
    if (name === "overview") showOverview();
    at(name).showModal();
  }

  const keys = {
    u: toggleUnsure, n: nextOpen, d: download, 0: () => grade(null),
    ArrowLeft: () => go(place - 1), ArrowRight: () => go(place + 1),
    c: () => at("comment").focus(), r: () => open("rubric"), o: () => open("overview"), "?": () => open("help"),
  };
  for (const { grade: score } of data.anchors) keys[score] = () => grade(score);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const shown = document.querySelector("dialog[open]");
    if (event.target === at("comment")) {
      if (event.key === "Escape" || event.key === "Enter") at("comment").blur();
      return;
    }
    const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || (shown && event.key.toLowerCase() !== "n")) return;
    if (shown) shown.close();
    event.preventDefault();
    action();
  });
  at("comment").addEventListener("input", () => {
    change({ comment: at("comment").value });
    save();
  });
  at("unsure").addEventListener("click", toggleUnsure);
  at("previous").addEventListener("click", () => go(place - 1));
  at("next").addEventListener("click", () => go(place + 1));
  at("next-open").addEventListener("click", () => { at("overview").close(); nextOpen(); });
  at("download").addEventListener("click", download);
  at("restore").addEventListener("change", (event) => {
    const file = event.target.files[0];
    event.target.value = "";
    if (file) restore(file);
  });
  for (const name of ["overview", "rubric", "help"]) at(`open-${name}`).addEventListener("click", () => open(name));
  at("language").addEventListener("click", () => {
    settings.language = settings.language === "zh" ? "en" : "zh";
    save();
    speak();
  });
  at("advance").addEventListener("change", () => {
    settings.advance = at("advance").checked;
    save();
  });

  recall();
  at("advance").checked = settings.advance;
  speak();
})();
