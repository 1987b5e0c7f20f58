// The interactive figure. Branches come from `derivations.report.transition`: at each point ln μ, the threshold of
// stability, the entropy, and H row by row. Label and noise enter a branch only through λ = μ (H^{nn} + κ)².
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("branches").textContent);
  const byId = (id) => document.getElementById(id);
  const SMALLEST_SIGNAL = 0.1;

  // --- the theory -----------------------------------------------------------------------------------------------

  const unpack = ({ lag, columns, values }) => {
    const bytes = Uint8Array.from(atob(values), (c) => c.charCodeAt(0));
    const table = new Float32Array(bytes.buffer);
    const points = [];
    for (let i = 0; i < table.length; i += columns) {
      const row = table.subarray(i, i + columns);
      points.push({ mu: Math.exp(row[0]), threshold: row[1], entropy: row[2], kernel: row.subarray(3), last: row[columns - 1] });
    }
    return { lag, points };
  };
  const branches = Object.fromEntries(Object.entries(data.branches).map(([T, list]) => [T, list.map(unpack)]));

  const criticalSignal = (T, kappa) => {
    const h = ((T - 2) / (T - 3)) ** (T - 1);
    return (h + kappa) ** 2 / ((T - 3) * h);
  };
  // index of H^{ts} (0-based, t ≤ s) among the entries row by row
  const entry = (n, t, s) => t * n - (t * (t - 1)) / 2 + (s - t);
  const full = (n, entries) =>
    Array.from({ length: n }, (_, t) => Array.from({ length: n }, (_, s) => entries[entry(n, Math.min(t, s), Math.max(t, s))]));

  // λ = (r-1)(rⁿ+κ)²/rⁿ rises with r for every κ within the slider's range
  const incoherentRatio = (n, signal, kappa) => {
    let low = 0, high = Math.log(1 + signal + kappa) + 2;
    for (let i = 0; i < 200; i++) {
      const middle = (low + high) / 2, h = Math.exp(n * middle);
      if (Math.expm1(middle) * (h + kappa) ** 2 / h < signal) low = middle; else high = middle;
    }
    return Math.exp((low + high) / 2);
  };
  const incoherent = (n, signal, kappa) => {
    const r = incoherentRatio(n, signal, kappa), last = r ** n;
    const kernel = Array.from({ length: n }, (_, t) => Array.from({ length: n }, (_, s) => (t === s ? r ** (t + 1) : 0)));
    return {
      name: "incoherent", kernel, order: 0,
      stable: r < (n - 1) / (n - 2),
      energy: signal / (2 * (last + kappa)), entropy: (n * (r - 1 - Math.log(r))) / 2,
    };
  };

  const signalAt = (point, kappa) => point.mu * (point.last + kappa) ** 2;
  const isStable = (mu, last, threshold, kappa) => mu / (last + kappa) > threshold;

  const coherentStates = (n, signal, kappa) => {
    const found = [];
    for (const { lag, points } of branches[n + 1]) {
      for (let i = 0; i + 1 < points.length; i++) {
        const a = points[i], b = points[i + 1];
        const from = Math.log(signalAt(a, kappa) / signal), to = Math.log(signalAt(b, kappa) / signal);
        if (from === 0 ? i > 0 : from * to > 0 || to === from) continue;
        const w = from / (from - to), mix = (x, y) => (1 - w) * x + w * y;
        const entries = Array.from(a.kernel, (x, k) => mix(x, b.kernel[k]));
        const last = entries[entries.length - 1], mu = signal / (last + kappa) ** 2;
        if (!isStable(mu, last, mix(a.threshold, b.threshold), kappa)) continue;
        found.push({
          name: lag === 1 ? "coherent" : `coherent at lag ${lag}`, kernel: full(n, entries), order: entries[entry(n, n - 2, n - 1)], stable: true,
          energy: signal / (2 * (last + kappa)), entropy: mix(a.entropy, b.entropy),
        });
      }
    }
    return found;
  };

  const states = (T, signal, kappa) => {
    const all = [incoherent(T - 1, signal, kappa), ...coherentStates(T - 1, signal, kappa)].filter((s) => s.stable);
    for (const state of all) state.freeEnergy = state.energy + state.entropy;
    return all.sort((a, b) => a.freeEnergy - b.freeEnergy);
  };

  // coefficients a of the regression of h^n on h^1 … h^{n-1}: H_{--} a = H_{-n}, by elimination with pivots
  const regression = (H) => {
    const n = H.length, A = H.slice(0, n - 1).map((row) => row.slice());
    for (let i = 0; i < n - 1; i++) {
      let pivot = i;
      for (let j = i + 1; j < n - 1; j++) if (Math.abs(A[j][i]) > Math.abs(A[pivot][i])) pivot = j;
      [A[i], A[pivot]] = [A[pivot], A[i]];
      for (let j = 0; j < n - 1; j++) {
        if (j === i) continue;
        const f = A[j][i] / A[i][i];
        for (let k = i; k < n; k++) A[j][k] -= f * A[i][k];
      }
    }
    return A.map((row, i) => row[n - 1] / row[i]);
  };
  // zeros of z^{n-1} - Σ a_k z^{k-1} (the companion matrix's eigenvalues), by Durand and Kerner's iteration
  const outliers = (H) => {
    const a = regression(H), m = a.length;
    const times = ([x, y], [p, q]) => [x * p - y * q, x * q + y * p];
    const over = ([x, y], [p, q]) => { const d = p * p + q * q; return [(x * p + y * q) / d, (y * p - x * q) / d]; };
    const value = (z) => {
      let v = [1, 0];
      for (let k = m - 1; k >= 0; k--) { v = times(v, z); v[0] -= a[k]; }
      return v;
    };
    const size = 1 + Math.max(...a.map(Math.abs));
    let z = a.map((_, k) => [size * Math.cos(0.4 + (2 * Math.PI * k) / m), size * Math.sin(0.4 + (2 * Math.PI * k) / m)]);
    for (let step = 0; step < 500; step++) {
      let change = 0;
      z = z.map((here, i) => {
        let d = [1, 0];
        z.forEach((other, j) => { if (j !== i) d = times(d, [here[0] - other[0], here[1] - other[1]]); });
        const move = over(value(here), d);
        if (!Number.isFinite(move[0] + move[1])) return here;
        change = Math.max(change, Math.hypot(...move));
        return [here[0] - move[0], here[1] - move[1]];
      });
      if (change < 1e-13 * size) break;
    }
    return z.filter((x) => Math.hypot(...x) > 1).sort((p, q) => Math.hypot(...q) - Math.hypot(...p) || q[1] - p[1]);
  };

  // --- drawing --------------------------------------------------------------------------------------------------

  const SVG = "http://www.w3.org/2000/svg";
  const lowered = (text) => {
    const index = document.createElementNS(SVG, "tspan");
    index.setAttribute("dy", "3");
    index.setAttribute("font-size", "75%");
    index.textContent = text;
    return index;
  };
  const put = (parent, name, attributes, text) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  };
  const number = (x, digits = 3) => (Math.abs(x) < 5e-7 ? "0" : String(Number(x.toPrecision(digits))).replace("-", "−"));
  const niceStep = (range) => {
    const power = 10 ** Math.floor(Math.log10(range / 5)), lead = range / 5 / power;
    return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
  };
  const ticks = (last) => {
    const step = niceStep(last), count = Math.floor(last / step + 1e-9);
    return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)));
  };

  const drawCurve = (T, signal, kappa, state) => {
    const svg = byId("curve"), n = T - 1, left = 44, right = 350, top = 12, bottom = 212;
    svg.replaceChildren();
    const critical = criticalSignal(T, kappa);
    const widest = Math.min(data.largest_signal, Math.max(3 * critical, 1.1 * signal));
    // where times correlate at multiples of a larger lag only, the order parameter is 0 and tells nothing
    const pieces = branches[T].filter(({ lag }) => lag === 1).map(({ points }) => points.map((p) => ({
      x: signalAt(p, kappa), y: Math.abs(p.kernel[entry(n, n - 2, n - 1)]), stable: isStable(p.mu, p.last, p.threshold, kappa),
    })));
    const seen = pieces.flat().filter((p) => p.x <= widest);
    const highest = 1.08 * Math.max(state.order, ...seen.filter((p) => p.stable).map((p) => p.y), 0.1);
    const x = (v) => left + ((right - left) * v) / widest, y = (v) => bottom - ((bottom - top) * v) / highest;
    const clip = put(put(svg, "defs", {}), "clipPath", { id: "inside" });
    put(clip, "rect", { x: left, y: top - 4, width: right - left, height: bottom - top + 8 });
    for (const v of ticks(widest)) {
      put(svg, "line", { class: "grid", x1: x(v), x2: x(v), y1: top, y2: bottom });
      put(svg, "text", { x: x(v), y: bottom + 14, "text-anchor": "middle" }, number(v));
    }
    for (const v of ticks(highest)) {
      put(svg, "line", { class: "grid", x1: left, x2: right, y1: y(v), y2: y(v) });
      put(svg, "text", { x: left - 5, y: y(v) + 3, "text-anchor": "end" }, number(v));
    }
    put(svg, "path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` });
    put(svg, "text", { x: (left + right) / 2, y: bottom + 32, "text-anchor": "middle" }, "signal λ");
    put(svg, "text", { x: -(top + bottom) / 2, y: 12, transform: "rotate(-90)", "text-anchor": "middle" }, `order parameter H${sup(n, n - 1)}`);
    const inside = put(svg, "g", { "clip-path": "url(#inside)" });
    const line = (points, kind) => points.length > 1 && put(inside, "polyline", { class: `branch ${kind}`, points: points.map((p) => `${x(p.x).toFixed(2)},${y(p.y).toFixed(2)}`).join(" ") });
    line([{ x: 0, y: 0 }, { x: widest, y: 0 }], "dnn");
    line([{ x: 0, y: 0 }, { x: critical, y: 0 }], "rnn");
    line([{ x: critical, y: 0 }, { x: widest, y: 0 }], "rnn unstable");
    for (const points of pieces) {
      for (let i = 0; i < points.length; ) {
        let j = i;
        while (j + 1 < points.length && points[j + 1].stable === points[i].stable) j++;
        line(points.slice(Math.max(i - 1, 0), j + 1), points[i].stable ? "rnn" : "rnn unstable");
        i = j + 1;
      }
    }
    put(svg, "line", { class: "axis", "stroke-dasharray": "2 3", x1: x(critical), x2: x(critical), y1: top, y2: bottom });
    put(svg, "text", { x: x(critical) + 4, y: top + 8 }, "λ").append(lowered("c"));
    put(svg, "line", { class: "axis", x1: x(signal), x2: x(signal), y1: y(state.order), y2: bottom, "stroke-width": 0.6 });
    put(svg, "circle", { class: "here", cx: x(signal), cy: y(state.order), r: 4.5 });
    const key = (at, kind, text) => {
      put(svg, "line", { class: `branch ${kind}`, x1: left + 10, x2: left + 30, y1: at, y2: at });
      put(svg, "text", { x: left + 35, y: at + 3 }, text);
    };
    key(top + 10, "rnn", "RNN");
    key(top + 24, "dnn", "DNN");
  };
  const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const sup = (...times) => times.map((t) => SUPERSCRIPTS[t]).join("");

  const drawKernel = (svg, H) => {
    const n = H.length, left = 22, side = 222, cell = side / n, largest = Math.max(...H.flat().map(Math.abs));
    svg.replaceChildren();
    H.forEach((row, t) => row.forEach((value, s) => {
      // a square root: the diagonal grows as a power of time and would hide the rest
      const weight = Math.sqrt(Math.abs(value) / largest);
      put(svg, "rect", { class: "cell", x: left + s * cell, y: t * cell, width: cell, height: cell, fill: value < 0 ? "var(--dnn)" : "var(--rnn)", "fill-opacity": (0.85 * weight).toFixed(3) });
      const text = put(svg, "text", { class: "value", x: left + (s + 0.5) * cell, y: (t + 0.5) * cell }, number(value, n > 5 ? 2 : 3));
      if (weight > 0.75) text.setAttribute("style", "fill:var(--paper)");
    }));
    for (let t = 0; t < n; t++) {
      put(svg, "text", { x: left - 6, y: (t + 0.5) * cell + 3, "text-anchor": "end" }, t + 1);
      put(svg, "text", { x: left + (t + 0.5) * cell, y: side + 13, "text-anchor": "middle" }, t + 1);
    }
    put(svg, "text", { x: left + side / 2, y: side + 26, "text-anchor": "middle" }, "time t");
  };

  const drawSpectrum = (eigenvalues) => {
    const svg = byId("spectrum"), middle = 125;
    svg.replaceChildren();
    const reach = 1.15 * Math.max(1.3, ...eigenvalues.map((z) => Math.hypot(...z))), scale = 110 / reach;
    put(svg, "line", { class: "grid", x1: 10, x2: 240, y1: middle, y2: middle });
    put(svg, "line", { class: "grid", x1: middle, x2: middle, y1: 10, y2: 240 });
    put(svg, "circle", { class: "bulk", cx: middle, cy: middle, r: scale });
    put(svg, "text", { x: middle + 4, y: middle + 14 }, "bulk, radius 1");
    put(svg, "text", { x: 240, y: middle - 5, "text-anchor": "end" }, "Re");
    put(svg, "text", { x: middle + 5, y: 18 }, "Im");
    for (const [re, im] of eigenvalues) put(svg, "circle", { class: "outlier", cx: middle + scale * re, cy: middle - scale * im, r: 5 });
  };

  // --- sliders --------------------------------------------------------------------------------------------------

  const slider = { signal: byId("signal"), noise: byId("noise"), horizon: byId("horizon") };
  const horizons = Object.keys(branches).map(Number);
  Object.assign(slider.horizon, { min: Math.min(...horizons), max: Math.max(...horizons), value: Math.min(...horizons) });
  slider.noise.max = data.largest_noise;
  let chosen = 0;

  const parameters = () => ({
    // logarithmic: λ from 0.1 to the largest
    signal: Number((SMALLEST_SIGNAL * (data.largest_signal / SMALLEST_SIGNAL) ** Number(slider.signal.value)).toPrecision(4)),
    kappa: Number(slider.noise.value),
    T: Number(slider.horizon.value),
  });

  const offerStates = (found) => {
    const set = byId("states"), legend = set.querySelector("legend");
    set.replaceChildren(legend);
    found.forEach((state, index) => {
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, { type: "radio", name: "state", value: index, checked: index === chosen });
      input.addEventListener("change", () => { chosen = index; draw(); });
      label.append(input, ` ${state.name}${found.length > 1 ? ` (F = ${number(state.freeEnergy, 4)})` : ""}`);
      set.append(label);
    });
  };

  const complex = ([re, im]) => `${number(re, 4)}${Math.abs(im) < 1e-6 ? "" : ` ${im < 0 ? "−" : "+"} ${number(Math.abs(im), 4)}i`}`;

  const draw = () => {
    const { signal, kappa, T } = parameters(), n = T - 1;
    const found = states(T, signal, kappa), critical = criticalSignal(T, kappa);
    chosen = Math.min(chosen, found.length - 1);
    const state = found[chosen], eigenvalues = outliers(state.kernel);
    byId("signal-value").innerHTML = `${number(signal)} = ${number(signal / critical, 3)} λ<sub>c</sub>`;
    byId("noise-value").textContent = number(kappa);
    byId("horizon-value").textContent = T;
    const focused = document.activeElement?.name === "state";
    offerStates(found);
    if (focused) byId("states").querySelector("input:checked").focus();
    drawCurve(T, signal, kappa, state);
    drawKernel(byId("rnn-kernel"), state.kernel);
    drawKernel(byId("dnn-kernel"), incoherent(n, signal, kappa).kernel);
    drawSpectrum(eigenvalues);
    byId("reading").innerHTML =
      `λ<sub>c</sub> = ${number(critical, 4)}. The RNN's state is ${state.name}: H${sup(n, n - 1)} = ${number(state.order, 4)}, ` +
      `F = ${number(state.freeEnergy, 5)} (energy ${number(state.energy, 4)}, entropy ${number(state.entropy, 4)}); ` +
      (eigenvalues.length ? `W has the outlier${eigenvalues.length > 1 ? "s" : ""} ${eigenvalues.map(complex).join(", ")}.` : "W has no outlier.") +
      (found.length > 1 ? ` ${found.length} stable states are on the traced branches.` : "");
    // for tests and for whoever wants to take the numbers away
    Object.assign(byId("figure").dataset, {
      state: JSON.stringify({ T, signal, kappa, critical, states: found, shown: chosen, outliers: eigenvalues }),
    });
  };

  for (const input of Object.values(slider)) input.addEventListener("input", () => { chosen = 0; draw(); });
  addEventListener("beforeprint", () => document.querySelectorAll("details.derivation").forEach((d) => { d.open = true; }));
  draw();
})();
