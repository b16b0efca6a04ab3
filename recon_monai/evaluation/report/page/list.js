/* The list of files, of one kind of data at a time. */
function fillTabs() {
  const counts = Object.fromEntries(sectionKeys.map((key) => [key, data.cases.filter((entry) => entry.data === key).length]));
  document.querySelector(".tabs").replaceChildren(...sectionKeys.map((key) =>
    element("button", { type: "button", "data-section": key, "aria-pressed": String(key === state.section) }, `${data.sections[key]} `, element("small", {}, String(counts[key])))));
}

function fillSorting() {
  const members = data.cases.filter((entry) => entry.data === state.section);
  const methods = data.methods.map((method) => method.name).filter((name) => members.some((entry) => name in entry.values));
  const measures = data.measures.filter(({ key }) => members.some((entry) => Object.values(entry.values).some((values) => key in values)));
  if (!methods.includes(state.sort.method)) state.sort.method = methods.find((name) => data.methods[methodIndex.get(name)].learned) || methods[0];
  if (!measures.some(({ key }) => key === state.sort.measure)) state.sort.measure = measures.length ? measures[0].key : null;
  byId("sort-method").replaceChildren(...methods.map((name) => element("option", { value: name, selected: name === state.sort.method }, name)));
  byId("sort-measure").replaceChildren(...measures.map(({ key, label }) => element("option", { value: key, selected: key === state.sort.measure }, label)));
}

function sortCases() {
  const { method, measure, order } = state.sort;
  const better = measure === null ? 0 : measureOf.get(measure).better;
  const words = better ? ["worst first", "best first"] : ["lowest first", "highest first"];
  [...byId("sort-order").options].slice(0, 2).forEach((option, at) => { option.textContent = words[at]; });
  const score = (index) => {
    const value = measure === null ? null : numberOf(index, method, measure);
    return value === null ? null : value * (better || 1) * (order === "best" ? -1 : 1);
  };
  const byName = (a, b) => data.cases[a].file.localeCompare(data.cases[b].file, "en", { numeric: true }) || a - b;
  state.order = data.cases.map((_, index) => index).filter((index) => data.cases[index].data === state.section).sort((a, b) => {
    if (order === "name") return byName(a, b);
    const [first, second] = [score(a), score(b)];
    if (first === null || second === null) return (first === null) - (second === null) || byName(a, b);
    return first - second || byName(a, b);
  });
  fillList();
}

function fillList() {
  const { method, measure } = state.sort;
  byId("list").replaceChildren(...state.order.map((index) => {
    const entry = data.cases[index];
    const value = measure === null ? null : numberOf(index, method, measure);
    const failed = entry.failures[method] ? "failed" : value === null ? "–" : shown(value, measure);
    return element("li", {}, element("button", { type: "button", "data-case": index, "aria-current": String(index === state.case) },
      element("span", { class: "file", title: entry.file }, entry.file), element("span", {}, failed), element("small", {}, entry.group)));
  }));
}

function markList() {
  for (const button of document.querySelectorAll("#list button")) {
    const current = Number(button.dataset.case) === state.case;
    button.setAttribute("aria-current", String(current));
    if (!current) continue;
    const list = byId("list");
    const [top, bottom] = [button.offsetTop - list.offsetTop, button.offsetTop - list.offsetTop + button.offsetHeight];
    if (top < list.scrollTop) list.scrollTop = top;
    else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
  }
}

function selectSection(section, index) {
  state.section = section;
  fillTabs();
  fillSorting();
  sortCases();
  showCase(index === undefined ? state.order[0] : index);
}

function stepCase(step) {
  const at = clamp(state.order.indexOf(state.case) + step, 0, state.order.length - 1);
  if (state.order[at] !== state.case) showCase(state.order[at]);
}

function changeSorting() {
  state.sort = { method: byId("sort-method").value, measure: byId("sort-measure").value || null, order: byId("sort-order").value };
  sortCases();
  showCase(state.sort.order === "name" ? state.case : state.order[0]);
}

/* A point of a plot opens its file by its method. */
function openFromPlot(point) {
  const index = Number(point.dataset.case);
  state.method = point.dataset.method;
  selectSection(data.cases[index].data, index);
  byId("files").scrollIntoView();
  byId("viewer").focus({ preventScroll: true });
}
