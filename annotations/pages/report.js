const wanted = location.hash.slice(1) || (navigator.language.startsWith("zh") ? "zh" : "en");
const radio = ["en", "zh"].includes(wanted) && document.getElementById(wanted);
if (radio) radio.checked = true;
