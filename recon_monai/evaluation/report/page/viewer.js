/* The viewer of one file. */
const MAP_WORDS = {
  error: "error |method − target|",
  null_space: "error in the null space of the acquisition: where the measurement says nothing",
  residual: "residual against the measured k-space",
  spread: "spread (uncertainty bootstrap)",
};
const MAP_NAMES = { error: "error map", null_space: "null-space error", residual: "k-space residual", spread: "spread" };
const GAIN_RANGE = [-1, 3];
let ticket = 0;
let layers = null; // canvases of the slice shown, from which regions are cut

function showCase(index) {
  state.case = index;
  const images = imagesOf(index);
  const entry = data.cases[index];
  byId("case-title").textContent = entry.file;
  const facts = [data.sections[entry.data], entry.group];
  if (entry.effective !== null) facts.push(`effective acceleration ${short(entry.effective)}`);
  if (entry.coils !== null) facts.push(`${entry.coils} coil${entry.coils === 1 ? "" : "s"}`);
  if (entry.subject) facts.push(`subject ${entry.subject}`);
  if (images) facts.push(`window ${short(images.window[0])} to ${short(images.window[1])}`);
  byId("case-facts").textContent = facts.join(" · ");
  showMessages(entry, images);
  for (const node of byId("viewer").querySelectorAll(".panels, .tools, .strip, h4")) node.hidden = images === null;
  if (images) {
    state.slice = state.slice === null ? (images.slices.length - 1) >> 1 : clamp(state.slice, 0, images.slices.length - 1);
    if (!(state.method in images.methods)) state.method = state.sort.method in images.methods ? state.sort.method : Object.keys(images.methods)[0];
  }
  fillMethods();
  fillNumbers();
  fillMaps();
  markList();
  draw();
}

function showMessages(entry, images) {
  const words = [];
  if (entry.problem) words.push(`No images: ${entry.problem}.`);
  if (images && !images.target) words.push("This file has no reference: there is no target, no error map and no measure of quality.");
  for (const [name, reason] of Object.entries(entry.failures)) words.push(`${name} failed: ${reason}`);
  byId("case-message").textContent = words.join(" ");
  byId("case-message").hidden = !words.length;
}

function shownMethods() { return data.methods.map((method) => method.name).filter((name) => name in data.cases[state.case].values); }

function fillMethods() {
  const images = imagesOf(state.case);
  const entry = data.cases[state.case];
  const key = state.sort.measure;
  byId("methods").replaceChildren(...shownMethods().map((name) => {
    const usable = images !== null && name in images.methods;
    const number = methodIndex.get(name) + 1;
    const value = key === null ? null : numberOf(state.case, name, key);
    const button = element("button", { type: "button", "data-method": name, "aria-pressed": String(name === state.method), disabled: !usable, title: entry.failures[name] || data.methods[number - 1].detail },
      number <= 9 ? element("kbd", {}, String(number)) : null, name, value === null ? null : element("small", {}, shown(value, key)));
    return button;
  }));
  if (images !== null && images.target) byId("methods").append(element("button", { type: "button", "data-method": "", "aria-pressed": String(state.method === null) }, element("kbd", {}, "0"), "target"));
}

function fillNumbers() {
  const entry = data.cases[state.case];
  const keys = data.measures.map((measure) => measure.key).filter((key) => shownMethods().some((name) => numberOf(state.case, name, key) !== null));
  const head = element("tr", {}, element("th", { scope: "col" }, "Method"), ...keys.map((key) => element("th", { scope: "col", class: "number" }, measureOf.get(key).label)));
  const rows = shownMethods().map((name) => element("tr", { "aria-current": String(name === state.method) }, element("th", { scope: "row" }, name),
    ...(entry.failures[name] ? [element("td", { colspan: keys.length, class: "reason" }, `failed: ${entry.failures[name]}`)]
      : keys.map((key) => element("td", { class: "number" }, shown(numberOf(state.case, name, key), key))))));
  byId("numbers").replaceChildren(element("caption", {}, "Numbers of this file, from the comparison"), element("thead", {}, head), element("tbody", {}, ...rows));
}

function fillMaps() {
  const images = imagesOf(state.case);
  if (images === null) return;
  const kinds = Object.keys(MAP_WORDS).filter((kind) => kind in images.maps);
  if (!kinds.includes(state.map)) state.map = kinds[0] || null;
  byId("map-kind").replaceChildren(...kinds.map((kind) => element("option", { value: kind, selected: kind === state.map }, MAP_WORDS[kind])));
  byId("map-panel").hidden = !kinds.length;
  byId("target-panel").hidden = !images.target;
}

async function draw() {
  const images = imagesOf(state.case);
  const mine = ticket += 1;
  if (images === null) { markShown(); return; }
  const { width, height } = images;
  const slice = state.slice;
  const names = Object.keys(images.methods);
  const decoded = await Promise.all([targetLevels(slice), ...names.map((name) => methodLevels(name, slice)), ...names.map((name) => state.map === null ? null : mapLevels(state.map, name, slice))]);
  if (mine !== ticket) return;
  layers = { levels: new Map(), mapLevels: new Map(), images: new Map(), maps: new Map() };
  ["", ...names].forEach((name, at) => {
    if (decoded[at] === null) return;
    layers.levels.set(name, decoded[at]);
    layers.images.set(name, canvasOf(grayPixels(decoded[at], width, height)));
  });
  names.forEach((name, at) => {
    const levels = decoded[1 + names.length + at];
    if (levels === null) return;
    layers.mapLevels.set(name, levels);
    layers.maps.set(name, canvasOf(colorPixels(levels, width, height, images.maps[state.map].full, mapHigh(state.map))));
  });
  showControls(images);
  drawPanels();
  fillStrip(names);
  drawRegions();
  markShown();
}

function markShown() {
  const viewer = byId("viewer");
  Object.assign(viewer.dataset, { case: state.case, slice: state.slice, method: state.method === null ? "" : state.method, map: state.map || "", gain: state.gain });
}

function showControls(images) {
  const slider = byId("slice");
  slider.max = images.slices.length - 1;
  slider.value = state.slice;
  slider.disabled = images.slices.length < 2;
  const number = `${images.slices[state.slice] + 1}`;
  slider.setAttribute("aria-valuetext", `slice ${number}`);
  const rest = images.slices.length === images.of ? "" : `, ${images.of} in the comparison`;
  byId("slice-number").textContent = `${number} (${state.slice + 1} of ${images.slices.length}${rest})`;
  byId("gain").textContent = `amplify ${2 ** state.gain}×`;
  byId("weaker").disabled = state.gain <= GAIN_RANGE[0];
  byId("stronger").disabled = state.gain >= GAIN_RANGE[1];
  byId("pin").setAttribute("aria-pressed", String(state.held));
  if (state.map !== null) {
    const high = mapHigh(state.map);
    byId("map-scale").textContent = `≥ ${short(high)} (${short((100 * high) / (images.window[1] - images.window[0]))} % of the window), for all methods`;
    const bar = byId("colorbar").getContext("2d").createImageData(256, 1);
    data.colors.forEach((color, at) => bar.data.set([...color, 255], 4 * at));
    byId("colorbar").getContext("2d").putImageData(bar, 0, 0);
  }
}

function drawPanels() {
  const images = imagesOf(state.case);
  const name = state.method === null ? "" : state.method;
  const where = `${data.cases[state.case].file}, slice ${images.slices[state.slice] + 1}`;
  byId("method-name").textContent = name || "target";
  paint(byId("image"), layers.images.get(name), `${name || "target"} of ${where}`);
  paint(byId("target"), layers.images.get(""), `target of ${where}`);
  paint(byId("map"), layers.maps.get(name), state.map === null ? "no map" : name ? `${MAP_WORDS[state.map]} of ${name}, ${where}` : "the target has no map");
  byId("map-kind").title = state.map === null ? "" : MAP_WORDS[state.map];
}

function paint(canvas, layer, words) {
  const { width, height, pixel_aspect: aspect } = imagesOf(state.case);
  const scale = 2;
  canvas.width = width * scale;
  canvas.height = Math.round(height * scale * aspect);
  canvas.setAttribute("aria-label", words);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  if (layer) context.drawImage(layer, 0, 0, canvas.width, canvas.height);
  const box = regionBox();
  const [stepX, stepY] = [canvas.width / width, canvas.height / height];
  context.lineWidth = Math.max(1.5, canvas.width / 300);
  context.strokeStyle = state.held ? "#ffd54a" : "#7fd0ff";
  context.strokeRect(box.x * stepX, box.y * stepY, box.width * stepX, box.height * stepY);
}

/* The region in pixels of the image: square on the screen. */
function regionBox() {
  const { width, height, pixel_aspect: aspect } = imagesOf(state.case);
  const side = Math.min(width, height * aspect) / state.zoom;
  const box = { width: side, height: side / aspect };
  box.x = clamp(state.region.x * width - box.width / 2, 0, width - box.width);
  box.y = clamp(state.region.y * height - box.height / 2, 0, height - box.height);
  return box;
}

function fillStrip(names) {
  const key = state.sort.measure;
  const shownNames = (layers.images.has("") ? [""] : []).concat(names);
  byId("strip").replaceChildren(...shownNames.map((name) => {
    const value = name && key !== null ? numberOf(state.case, name, key) : null;
    return element("button", { type: "button", class: "tile", "data-method": name, "aria-pressed": String((state.method === null ? "" : state.method) === name), "aria-label": `show ${name || "target"}` },
      element("canvas", { width: 160, height: 160, "data-layer": "image" }),
      layers.maps.size ? element("canvas", { width: 160, height: 160, "data-layer": "map", class: name ? "" : "empty" }) : null,
      element("span", { class: "name" }, element("span", {}, name || "target"), value === null ? null : element("small", {}, shown(value, key))));
  }));
  byId("strip-words").textContent = state.map === null ? "one window" : `above: one window; below: ${MAP_WORDS[state.map]}, one scale`;
}

function drawRegions() {
  const box = regionBox();
  for (const tile of byId("strip").children) {
    for (const canvas of tile.querySelectorAll("canvas")) {
      const layer = (canvas.dataset.layer === "map" ? layers.maps : layers.images).get(tile.dataset.method);
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      context.clearRect(0, 0, canvas.width, canvas.height);
      if (layer) context.drawImage(layer, box.x, box.y, box.width, box.height, 0, 0, canvas.width, canvas.height);
    }
  }
}

function showValues(x, y) {
  const images = imagesOf(state.case);
  const at = clamp(Math.floor(y * images.height), 0, images.height - 1) * images.width + clamp(Math.floor(x * images.width), 0, images.width - 1);
  const [low, high] = images.window;
  const intensity = (name) => layers.levels.has(name) ? `≈ ${short(low + (layers.levels.get(name)[at] / 255) * (high - low))}` : "";
  byId("method-value").textContent = intensity(state.method === null ? "" : state.method);
  byId("target-value").textContent = intensity("");
  const map = layers.mapLevels.get(state.method);
  byId("map-value").textContent = map ? `≈ ${short((map[at] / 255) * images.maps[state.map].full)}` : "";
}

function moveRegion(x, y) {
  state.region = { x: clamp(x, 0, 1), y: clamp(y, 0, 1) };
  drawPanels();
  drawRegions();
}

function selectMethod(name) {
  const images = imagesOf(state.case);
  if (images === null || (name === null ? !images.target : !(name in images.methods))) return;
  state.method = name;
  for (const button of document.querySelectorAll("#methods button")) button.setAttribute("aria-pressed", String(button.dataset.method === (name === null ? "" : name)));
  fillNumbers();
  byId("spoken").textContent = name === null ? "target" : name;
  draw();
}

function nextMethod() {
  const names = Object.keys(imagesOf(state.case).methods);
  selectMethod(names[(names.indexOf(state.method) + 1) % names.length]);
}

function selectSlice(slice) {
  const images = imagesOf(state.case);
  if (images === null) return;
  state.slice = clamp(slice, 0, images.slices.length - 1);
  draw();
}

function selectMap(kind) {
  state.map = kind;
  fillMaps();
  draw();
}

function amplify(step) {
  state.gain = clamp(state.gain + step, ...GAIN_RANGE);
  draw();
}

function hold(held) {
  state.held = held;
  byId("pin").setAttribute("aria-pressed", String(held));
  if (layers) drawPanels();
}
