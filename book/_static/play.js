/* Pieces to play with: a form, a drawing and a sentence that says its numbers. Data stand in the page, as JSON.

   The controls are the browser's own, so that they work by keyboard and in both themes. */
(() => {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const ANCHORS = [11, 12, 13, 14, 15, 16, 17, 18, 19, 20];

  function drawn(name, attributes, ...children) {
    const node = document.createElementNS(SVG, name);
    Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    node.append(...children);
    return node;
  }

  function choice(form, words, options, chosen) {
    const label = document.createElement("label");
    const select = document.createElement("select");
    Object.entries(options).forEach(([value, text]) => select.append(new Option(text, value, false, value === chosen)));
    label.append(words, select);
    form.append(label);
    return select;
  }

  function slider(form, words, least, most, step, value, shown) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "range", min: least, max: most, step, value });
    const said = document.createElement("span");
    const tell = () => {
      said.textContent = `${words}: ${shown(Number(input.value))}`;
      input.setAttribute("aria-valuetext", shown(Number(input.value)));
    };
    input.addEventListener("input", tell);
    tell();
    label.append(said, input);
    form.append(label);
    return input;
  }

  function begin(piece, draw) {
    const data = JSON.parse(piece.querySelector("script").textContent);
    const form = document.createElement("form");
    const pictures = Object.assign(document.createElement("div"), { className: "play-pictures" });
    const said = document.createElement("output");
    form.addEventListener("submit", (event) => event.preventDefault());
    piece.append(form, pictures, said);
    const update = draw(data, form, pictures, said);
    form.addEventListener("input", update);
    update();
  }

  /* A picture 320 wide and 220 high; x and y map data to it. */
  function picture(title, [x0, x1], [y0, y1], under) {
    const left = 40, right = 300, top = 24, bottom = 184;
    const x = (value) => left + ((value - x0) / (x1 - x0)) * (right - left);
    const y = (value) => bottom - ((value - y0) / (y1 - y0)) * (bottom - top);
    const svg = drawn("svg", { viewBox: "0 0 320 220", role: "img", "aria-label": title });
    svg.append(
      drawn("text", { x: 170, y: 14, class: "play-title" }, title),
      drawn("path", { d: `M${left},${top}V${bottom}H${right}`, class: "play-frame" }),
      drawn("text", { x: 170, y: 214, class: "play-title" }, under),
    );
    return { svg, x, y, left, bottom };
  }

  const path = (points) => points.map(([a, b], i) => `${i ? "L" : "M"}${a.toFixed(1)},${b.toFixed(1)}`).join("");

  function twoTokens(data, form, pictures, said) {
    const task = choice(form, "Task", data.names, "add");
    const model = choice(form, "Model", data.models, "linear");
    const numbers = Object.fromEntries(ANCHORS.map((anchor) => [anchor, anchor]));
    const tokens = [choice(form, "First token", numbers, "11"), choice(form, "Second token", numbers, "15")];

    return () => {
      const found = data.tasks[task.value];
      const [i, j] = tokens.map((select) => found.anchors.indexOf(Number(select.value)));
      const trained = found.models[model.value];

      const top = 1.15 * Math.max(...found.law.flat());
      const ends = [found.labels[0], found.labels.at(-1)];
      const law = picture("Label signatures", ends, [0, top], "label");
      [[i, "one"], [j, "two"]].forEach(([k, name]) => {
        const line = found.labels.map((label, at) => [law.x(label), law.y(found.law[k][at])]);
        law.svg.append(drawn("path", { d: path(line), class: `play-line play-${name}` }));
      });
      ends.forEach((end, at) =>
        law.svg.append(drawn("text", { x: law.x(end), y: 198, class: at ? "play-tick play-end" : "play-tick" }, end)),
      );

      const flat = trained.plane.flat();
      const far = 1.15 * Math.max(...flat.map(Math.abs), 1e-9);
      const plane = picture("Trained embeddings", [-far, far], [-far, far], "first two main directions");
      trained.plane.forEach(([a, b], k) => {
        const name = k === i ? "play-one" : k === j ? "play-two" : "play-other";
        plane.svg.append(
          drawn("circle", { cx: plane.x(a), cy: plane.y(b), r: k === i || k === j ? 7 : 4, class: name }),
        );
        if (k === i || k === j)
          plane.svg.append(drawn("text", { x: plane.x(a) + 10, y: plane.y(b) - 6, class: "play-tick" }, ANCHORS[k]));
      });
      pictures.replaceChildren(law.svg, plane.svg);

      const of = (kind) => found.cosine[kind][i][j].toFixed(2);
      said.textContent =
        `${ANCHORS[i]} and ${ANCHORS[j]}: the cosine of their label signatures is ${of("label")}, ` +
        `of the laws of what stands beside them ${of("companion")}, of both together ${of("joint")}. ` +
        `Their trained embeddings have a cosine of ${trained.cosine[i][j].toFixed(2)}.`;
    };
  }

  /* Eigenvalues and eigenvectors (columns) of a symmetric matrix, by rotations (Jacobi). */
  function eigen(matrix) {
    const size = matrix.length;
    const a = matrix.map((row) => [...row]);
    const v = matrix.map((_, i) => matrix.map((_, j) => (i === j ? 1 : 0)));
    for (let sweep = 0; sweep < 30; sweep++) {
      let rest = 0;
      for (let p = 0; p < size; p++)
        for (let q = p + 1; q < size; q++) {
          rest += a[p][q] ** 2;
          if (Math.abs(a[p][q]) < 1e-18) continue;
          const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
          const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.hypot(theta, 1));
          const c = 1 / Math.hypot(t, 1), s = t * c;
          for (let k = 0; k < size; k++) [a[k][p], a[k][q]] = [c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q]];
          for (let k = 0; k < size; k++) [a[p][k], a[q][k]] = [c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]];
          for (let k = 0; k < size; k++) [v[k][p], v[k][q]] = [c * v[k][p] - s * v[k][q], s * v[k][p] + c * v[k][q]];
        }
      if (rest < 1e-26) break;
    }
    return { values: a.map((row, i) => row[i]), vectors: v };
  }

  function trajectories(data, form, pictures, said) {
    const task = choice(form, "Task", data.names, "add");
    const time = slider(form, "Time", 0, 100, 1, 40, (value) => `${value}`);
    const scale = slider(form, "Scale of the initial weights", -4, -1, 0.1, -3, (power) => (10 ** power).toPrecision(2));
    const size = slider(form, "Vocabulary", 200, 5000, 100, 200, (value) => `${value} tokens`);
    const known = {};

    /* The singular values of M_0 and the entries of its right singular vectors at the anchors. */
    function spectrum() {
      const key = `${task.value} ${size.value}`;
      if (!known[key]) {
        const { CtC, n, anchors } = data.tasks[task.value];
        const { values, vectors } = eigen(CtC.map((row, i) => row.map((entry, j) => entry - (n[i] * n[j]) / size.value)));
        known[key] = {
          singular: values.map((value) => Math.sqrt(Math.max(value, 0))),
          rows: anchors.map((anchor) => vectors[anchor]),
        };
      }
      return known[key];
    }

    return () => {
      const { singular, rows } = spectrum();
      const gram = (i, j, t) => singular.reduce((sum, s, k) => sum + rows[i][k] * rows[j][k] * Math.cosh(2 * t * s), 0);
      const cosine = (i, j, t) => gram(i, j, t) / Math.sqrt(gram(i, i, t) * gram(j, j, t));
      const largest = Math.max(...singular);
      const until = Math.max(0, Math.log(1 / (10 ** scale.value * Math.sqrt(data.hidden_size))) / largest);
      const t = Number(time.value);

      const curve = picture("Cosine of two embeddings, in expectation", [0, 100], [-0.05, 1.05], "time");
      [0, 0.5, 1].forEach((level) =>
        curve.svg.append(drawn("text", { x: curve.left - 6, y: curve.y(level) + 4, class: "play-tick play-end" }, level)),
      );
      [0, 50, 100].forEach((at) =>
        curve.svg.append(drawn("text", { x: curve.x(at), y: 198, class: "play-tick play-mid" }, at)),
      );
      if (until < 100)
        curve.svg.append(
          drawn("rect", {
            x: curve.x(until), y: 24, width: curve.x(100) - curve.x(until), height: 160, class: "play-beyond",
          }),
        );
      [[0, 1, "one"], [0, 9, "two"]].forEach(([i, j, name]) => {
        const line = Array.from({ length: 51 }, (_, k) => [curve.x(2 * k), curve.y(cosine(i, j, 2 * k))]);
        curve.svg.append(
          drawn("path", { d: path(line), class: `play-line play-${name}` }),
          drawn("circle", { cx: curve.x(t), cy: curve.y(cosine(i, j, t)), r: 5, class: `play-${name}` }),
        );
      });
      curve.svg.append(drawn("path", { d: `M${curve.x(t)},24V184`, class: "play-frame" }));

      const all = ANCHORS.map((_, i) => ANCHORS.map((_, j) => (i === j ? 1 : cosine(i, j, t))));
      const [least, span] = [Math.min(...all.flat()), 1 - Math.min(...all.flat()) || 1];
      const title = `All ten at time ${t}: cosines from ${least.toFixed(2)} to 1`;
      const map = picture(title, [0, 10], [0, 10], "11 to 20, fuller is more alike");
      all.forEach((row, i) =>
        row.forEach((value, j) => {
          const cell = { x: 90 + 16 * j, y: 24 + 16 * i, width: 16, height: 16, class: "play-cell" };
          map.svg.append(drawn("rect", { ...cell, "fill-opacity": ((value - least) / span).toFixed(3) }));
        }),
      );
      map.svg.querySelector("path").remove();
      pictures.replaceChildren(curve.svg, map.svg);

      said.textContent =
        `At time ${t} the embeddings of 11 and 12 have a cosine of ${cosine(0, 1, t).toFixed(2)} ` +
        `and those of 11 and 20 one of ${cosine(0, 9, t).toFixed(2)}. ` +
        `The fastest direction grows at a rate of ${largest.toFixed(3)}, and the closed form holds ` +
        (until > 0 ? `until about time ${until.toFixed(0)}.` : "at no time: these weights are too large.");
    };
  }

  const PIECES = { "two-tokens": twoTokens, trajectories };
  const start = () => document.querySelectorAll(".play").forEach((piece) => begin(piece, PIECES[piece.dataset.piece]));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
