/* What the page shows, its state, and small helpers. */
const data = JSON.parse(document.getElementById("report-data").textContent);
const methodIndex = new Map(data.methods.map((method, index) => [method.name, index]));
const measureOf = new Map(data.measures.map((measure) => [measure.key, measure]));
const sectionKeys = Object.keys(data.sections);

const state = {
  measure: data.measures.length ? data.measures[0].key : null,
  section: sectionKeys[0],
  sort: { method: null, measure: null, order: "worst" },
  order: [],        // indices of the listed cases
  case: null,       // index of the case shown
  method: null,
  slice: null,      // position among the slices of the case; null before the first one is shown
  map: "error",
  gain: 0,          // the scale of maps is divided by 2 ** gain
  zoom: 4,
  region: { x: 0.5, y: 0.5 },
  held: false,
};

/* One of the twelve colors of report.css. */
function colorOf(index) { return `m${index % 12}`; }

function byId(id) { return document.getElementById(id); }

function element(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "class") node.className = value;
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function drawing(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function numberOf(index, method, key) {
  const values = data.cases[index].values[method];
  return values && key in values ? values[key] : null;
}

function shown(value, key) {
  if (value === null) return "–";
  const decimals = measureOf.get(key).decimals;
  return decimals === null ? String(Number(value.toPrecision(3))) : value.toFixed(decimals);
}

function short(value) {
  const size = Math.abs(value);
  return size !== 0 && (size < 0.001 || size >= 10000) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

function clamp(value, low, high) { return Math.min(high, Math.max(low, value)); }
