/* Filters for the reproduction table. Without this script every part opens and closes all the same.

   Each row carries its owner, verdict and setting as classes; a choice hides the rows that lack its class, and a part
   without a row left. The controls are the browser's own, so that they work by keyboard and in both themes. */
(() => {
  "use strict";

  const CHOICES = [
    ["Whose", "of-", { paper: "the paper's", book: "this book's" }],
    ["Verdict", "is-", {}],
    ["Setting", "at-", {}],
  ];

  const values = (rows, prefix) => {
    const found = new Set();
    rows.forEach((row) => row.classList.forEach((name) => name.startsWith(prefix) && found.add(name.slice(prefix.length))));
    return [...found].sort();
  };

  const option = (value, words) => Object.assign(document.createElement("option"), { value, textContent: words });

  const labelled = (words, control) => {
    const label = document.createElement("label");
    label.append(words, control);
    return label;
  };

  function begin() {
    const all = document.querySelector(".all-claims");
    if (!all) return;
    const rows = [...all.querySelectorAll("tr.claim")];
    const parts = [...all.querySelectorAll("details")];
    const form = document.createElement("form");
    form.className = "claims-filter";
    form.setAttribute("aria-label", "Filter the claims");

    const selects = CHOICES.map(([words, prefix, names]) => {
      const select = document.createElement("select");
      select.append(option("", "all"));
      values(rows, prefix).forEach((value) => select.append(option(prefix + value, names[value] || value.replaceAll("-", " "))));
      form.append(labelled(words, select));
      return select;
    });
    const words = Object.assign(document.createElement("input"), { type: "search" });
    const shown = document.createElement("output");
    const clear = Object.assign(document.createElement("button"), { type: "button", textContent: "Show all" });
    form.append(labelled("Words", words), clear, shown);

    const apply = () => {
      const classes = selects.map((select) => select.value).filter(Boolean);
      const sought = words.value.trim().toLowerCase();
      rows.forEach((row) => {
        row.hidden = !classes.every((name) => row.classList.contains(name)) || !row.textContent.toLowerCase().includes(sought);
      });
      const filtered = classes.length > 0 || sought !== "";
      parts.forEach((part) => {
        const left = part.querySelectorAll("tr.claim:not([hidden])").length;
        part.hidden = left === 0;
        part.open = filtered && left > 0;
      });
      const left = rows.filter((row) => !row.hidden).length;
      shown.textContent = filtered ? `${left} of ${rows.length} claims` : `${rows.length} claims`;
    };
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    clear.addEventListener("click", () => {
      form.reset();
      apply();
    });
    all.before(form);
    apply();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
