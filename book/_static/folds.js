/* What is folded: a link to something in it opens it, and every line that opens has a name for who cannot see it. */
(() => {
  "use strict";

  function openTarget() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folds = [];
    for (let fold = target && target.closest("details"); fold; fold = fold.parentElement.closest("details")) folds.push(fold);
    if (folds.every((fold) => fold.open)) return;
    folds.forEach((fold) => (fold.open = true));
    target.scrollIntoView();
  }

  function nameSummaries() {
    document.querySelectorAll(".bd-sidebar-primary li > details > summary").forEach((summary) => {
      const link = summary.parentElement.parentElement.querySelector(":scope > a");
      summary.setAttribute("aria-label", `Pages under ${link ? link.textContent.trim() : "this part"}`);
    });
  }

  addEventListener("hashchange", openTarget);
  addEventListener("DOMContentLoaded", () => {
    nameSummaries();
    openTarget();
  });
})();
