/* Distributions and quality against speed, as SVG. */
const shapes = {
  learned: "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0 -5 0Z",
  classical: "M-4.4 -4.4H4.4V4.4H-4.4Z",
};

function shapeOf(index) { return data.methods[index].learned ? shapes.learned : shapes.classical; }

function quantile(sorted, share) {
  const place = (sorted.length - 1) * share;
  const low = Math.floor(place);
  const high = Math.ceil(place);
  return sorted[low] + (sorted[high] - sorted[low]) * (place - low);
}

function niceTicks(low, high, wanted) {
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= raw);
  const ticks = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) ticks.push(Number(value.toPrecision(10)));
  return ticks;
}

function extent(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const margin = (high - low || Math.abs(high) || 1) * 0.05;
  return [low - margin, high + margin];
}

function casesByGroup(section) {
  const groups = new Map(data.groups[section].map((group) => [group, []]));
  data.cases.forEach((entry, index) => {
    if (entry.data !== section) return;
    groups.get(entry.group).push(index);
  });
  return groups;
}

function drawStrips(place, section, key) {
  place.replaceChildren();
  const groups = casesByGroup(section);
  const names = data.methods.map((method) => method.name);
  const values = (members, name) => members.map((index) => [numberOf(index, name, key), index]).filter(([value]) => value !== null);
  const all = [...groups.values()].flatMap((members) => names.flatMap((name) => values(members, name).map(([value]) => value)));
  if (!all.length) return;
  const range = extent(all);
  for (const [group, members] of groups) {
    const used = names.filter((name) => values(members, name).length);
    if (used.length) place.append(element("div", {}, element("h4", {}, group), strip(group, used, range, key, (name) => values(members, name))));
  }
}

function strip(group, names, [low, high], key, valuesOf) {
  const left = 116, width = 344, row = 21, top = 3;
  const bottom = top + names.length * row;
  const x = (value) => left + ((value - low) / (high - low)) * (width - left - 8);
  const svg = drawing("svg", { class: "plot", viewBox: `0 0 ${width} ${bottom + 18}`, role: "img", "aria-label": `${measureOf.get(key).label} of ${group} by method` });
  for (const tick of niceTicks(low, high, 4)) {
    svg.append(drawing("path", { class: "axis", d: `M${x(tick).toFixed(1)} ${top}V${bottom}` }));
    svg.append(drawing("text", { x: x(tick).toFixed(1), y: bottom + 13, "text-anchor": "middle" }, short(tick)));
  }
  names.forEach((name, line) => {
    const method = methodIndex.get(name);
    const middle = top + (line + 0.5) * row;
    const found = valuesOf(name);
    const sorted = found.map(([value]) => value).sort((a, b) => a - b);
    const words = name.length > 19 ? `${name.slice(0, 18)}…` : name;
    svg.append(drawing("text", { x: left - 8, y: middle + 4, "text-anchor": "end" }, words));
    const marks = drawing("g", { class: colorOf(method) });
    if (sorted.length > 3) {
      const [first, median, third] = [0.25, 0.5, 0.75].map((share) => x(quantile(sorted, share)));
      marks.append(drawing("rect", { class: "box", x: first.toFixed(1), y: middle - 7, width: Math.max(third - first, 0.5).toFixed(1), height: 14, rx: 2 }));
      marks.append(drawing("path", { class: "median", d: `M${median.toFixed(1)} ${middle - 7}V${middle + 7}` }));
    }
    found.forEach(([value, index], at) => {
      const shift = (((at * 7919) % 13) / 13 - 0.5) * 9;
      const point = drawing("circle", { class: "point", cx: x(value).toFixed(1), cy: (middle + shift).toFixed(1), r: 2.6 });
      point.dataset.case = index;
      point.dataset.method = name;
      point.dataset.tip = `${data.cases[index].file}\n${name}: ${measureOf.get(key).label} ${shown(value, key)}`;
      marks.append(point);
    });
    svg.append(marks);
  });
  return svg;
}

function drawSpeed(place, section, key) {
  place.replaceChildren();
  const figure = place.closest("figure");
  const points = [];
  for (const [group, members] of casesByGroup(section)) {
    for (const { name } of data.methods) {
      const both = members.filter((index) => numberOf(index, name, key) !== null && numberOf(index, name, "seconds") > 0);
      if (!both.length) continue;
      const mean = (measure) => both.reduce((sum, index) => sum + numberOf(index, name, measure), 0) / both.length;
      points.push({ group, name, seconds: mean("seconds"), value: mean(key) });
    }
  }
  const isQuality = key !== "seconds" && key !== "peak_memory_mb";
  figure.hidden = !points.length || !isQuality;
  if (figure.hidden) return;
  place.append(scatter(points, key), keysOf([...new Set(points.map((point) => point.name))]));
  const words = { 1: "upper left is good and quick", "-1": "upper left is good and quick: the axis points down", 0: "left is quick" };
  figure.querySelector("small").textContent = `means over the files of a group; ${words[measureOf.get(key).better]}`;
}

function keysOf(names) {
  return element("ul", { class: "keys-of" }, ...names.map((name) => {
    const index = methodIndex.get(name);
    const mark = drawing("svg", { class: `key ${colorOf(index)}`, viewBox: "-6 -6 12 12", "aria-hidden": "true" });
    mark.append(drawing("path", { d: shapeOf(index) }));
    return element("li", {}, mark, name);
  }));
}

function scatter(points, key) {
  const width = 400, height = 262, left = 46, right = 10, top = 8, bottom = 34;
  const [low, high] = extent(points.map((point) => point.value));
  const logs = points.map((point) => Math.log10(point.seconds));
  const [quick, slow] = [Math.min(...logs) - 0.25, Math.max(...logs) + 0.25];
  const down = measureOf.get(key).better < 0;
  const x = (seconds) => left + ((Math.log10(seconds) - quick) / (slow - quick)) * (width - left - right);
  const y = (value) => {
    const share = (value - low) / (high - low);
    return top + (down ? share : 1 - share) * (height - top - bottom);
  };
  const svg = drawing("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${measureOf.get(key).label} against seconds per file, by method and group` });
  for (const tick of niceTicks(low, high, 5)) {
    svg.append(drawing("path", { class: "axis", d: `M${left} ${y(tick).toFixed(1)}H${width - right}` }));
    svg.append(drawing("text", { x: left - 6, y: (y(tick) + 4).toFixed(1), "text-anchor": "end" }, short(tick)));
  }
  const decades = [];
  for (let power = Math.floor(quick); power <= slow; power += 1) for (const factor of slow - quick > 2.5 ? [1] : [1, 2, 5]) decades.push(factor * 10 ** power);
  for (const tick of decades.filter((value) => Math.log10(value) >= quick && Math.log10(value) <= slow)) {
    svg.append(drawing("path", { class: "axis", d: `M${x(tick).toFixed(1)} ${top}V${height - bottom}` }));
    svg.append(drawing("text", { x: x(tick).toFixed(1), y: height - bottom + 14, "text-anchor": "middle" }, String(Number(tick.toPrecision(2)))));
  }
  svg.append(drawing("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "seconds per file (logarithmic)"));
  for (const point of points) {
    const index = methodIndex.get(point.name);
    const mark = drawing("path", { class: `point group ${colorOf(index)}`, d: shapeOf(index), transform: `translate(${x(point.seconds).toFixed(1)} ${y(point.value).toFixed(1)})` });
    mark.dataset.tip = `${point.name}, ${point.group}\n${measureOf.get(key).label} ${shown(point.value, key)}, ${short(point.seconds)} s`;
    svg.append(mark);
  }
  return svg;
}

/* A section without the chosen measure shows its first one, under its own name. */
function showMeasure(key) {
  state.measure = key;
  for (const button of document.querySelectorAll(".measures button")) button.setAttribute("aria-pressed", String(button.dataset.measure === key));
  for (const section of document.querySelectorAll("section.kind")) {
    const blocks = [...section.querySelectorAll("div.measure")];
    const shownBlock = blocks.find((block) => block.dataset.measure === key) || blocks[0];
    section.querySelector(".plots").hidden = shownBlock === undefined;
    if (shownBlock === undefined) continue;
    for (const block of blocks) block.hidden = block !== shownBlock;
    const absent = section.querySelector(".absent");
    absent.hidden = shownBlock.dataset.measure === key;
    absent.textContent = `There is no ${measureOf.get(key).label} of these files, so another measure is shown.`;
    drawStrips(section.querySelector(".strips"), section.dataset.section, shownBlock.dataset.measure);
    drawSpeed(section.querySelector(".speed"), section.dataset.section, shownBlock.dataset.measure);
  }
}

/* Of the tables of paired differences, those from one method; each has the choice in its caption. */
function showBase(section, base) {
  section.dataset.base = base;
  for (const table of section.querySelectorAll(".pairs")) {
    table.hidden = table.dataset.base !== base;
    table.querySelector("select").value = table.dataset.base;
  }
}

function changeBase(select) {
  const section = select.closest("section");
  showBase(section, select.value);
  [...section.querySelectorAll(".pairs:not([hidden]) select")].find((other) => other.offsetParent !== null).focus();
}

function showTip(event) {
  const tip = byId("tip");
  const target = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
  tip.hidden = target === null;
  if (target === null) return;
  tip.textContent = target.dataset.tip;
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${Math.max(4, event.clientY - tip.offsetHeight - 10)}px`;
}
