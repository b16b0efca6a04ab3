/* Pointer and keys. */
function chosen(event, selector) { return event.target instanceof Element ? event.target.closest(selector) : null; }

function pointerShare(event) {
  const place = event.currentTarget.getBoundingClientRect();
  return [(event.clientX - place.left) / place.width, (event.clientY - place.top) / place.height];
}

function onPointer(event) {
  if (!layers) return;
  const [x, y] = pointerShare(event);
  showValues(x, y);
  if (!state.held) moveRegion(x, y);
}

function onImageClick(event) {
  if (event.currentTarget.id === "image") { nextMethod(); return; }
  hold(!state.held);
  if (state.held) moveRegion(...pointerShare(event));
}

function nextMap() {
  const images = imagesOf(state.case);
  if (images === null) return;
  const kinds = Object.keys(MAP_WORDS).filter((kind) => kind in images.maps);
  if (kinds.length) selectMap(kinds[(kinds.indexOf(state.map) + 1) % kinds.length]);
}

function onArrow(event) {
  const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (event.shiftKey) {
    hold(true);
    moveRegion(state.region.x + 0.03 * x, state.region.y + 0.03 * y);
  } else if (x) {
    selectSlice(state.slice + x);
  } else {
    stepCase(y);
  }
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || chosen(event, "select")) return;
  const actions = { e: nextMap, z: () => hold(!state.held), "+": () => amplify(1), "=": () => amplify(1), "-": () => amplify(-1) };
  if (/^Arrow/.test(event.key)) {
    if (imagesOf(state.case) === null && (event.shiftKey || /Left|Right/.test(event.key))) return;
    onArrow(event);
  } else if (event.key === "0") {
    selectMethod(null);
  } else if (/^[1-9]$/.test(event.key)) {
    const method = data.methods[Number(event.key) - 1];
    if (method) selectMethod(method.name);
  } else if (event.key.toLowerCase() in actions) {
    if (imagesOf(state.case) !== null) actions[event.key.toLowerCase()]();
  } else {
    return;
  }
  event.preventDefault();
}

function connect() {
  document.querySelector(".measures").addEventListener("click", (event) => { const button = chosen(event, "button"); if (button) showMeasure(button.dataset.measure); });
  document.querySelector(".tabs").addEventListener("click", (event) => { const button = chosen(event, "button"); if (button) selectSection(button.dataset.section); });
  byId("overview").addEventListener("click", (event) => { const point = chosen(event, "[data-case]"); if (point) openFromPlot(point); });
  byId("overview").addEventListener("change", (event) => { const base = chosen(event, "[data-role=base]"); if (base) changeBase(base); });
  document.addEventListener("pointermove", showTip);
  for (const id of ["sort-method", "sort-measure", "sort-order"]) byId(id).addEventListener("change", changeSorting);
  byId("list").addEventListener("click", (event) => { const button = chosen(event, "button"); if (button) showCase(Number(button.dataset.case)); });
  for (const id of ["methods", "strip"]) byId(id).addEventListener("click", (event) => { const button = chosen(event, "button"); if (button && !button.disabled) { selectMethod(button.dataset.method || null); byId("viewer").focus({ preventScroll: true }); } });
  byId("slice").addEventListener("input", (event) => selectSlice(Number(event.target.value)));
  byId("zoom").addEventListener("change", (event) => { state.zoom = Number(event.target.value); drawPanels(); drawRegions(); });
  byId("map-kind").addEventListener("change", (event) => selectMap(event.target.value));
  byId("pin").addEventListener("click", () => hold(!state.held));
  byId("weaker").addEventListener("click", () => amplify(-1));
  byId("stronger").addEventListener("click", () => amplify(1));
  for (const id of ["image", "target", "map"]) {
    byId(id).addEventListener("pointermove", onPointer);
    byId(id).addEventListener("click", onImageClick);
  }
  document.querySelector(".browser").addEventListener("keydown", onKey);
}

for (const key of document.querySelectorAll("[data-legend] .key")) {
  key.append(drawing("path", { d: shapeOf(methodIndex.get(key.parentElement.dataset.legend)) }));
}
for (const section of document.querySelectorAll("section.kind")) showBase(section, section.dataset.base);
connect();
if (state.measure !== null) showMeasure(state.measure);
selectSection(state.section);
