// Tables and ladders that change in place: a cell is touched only when its text or class is new.

/** Make the heads of a table. A column is [title, class]. */
export function heads(table, columns) {
  const row = document.createElement("tr");
  for (const [title, style] of columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = title;
    cell.className = style || "";
    row.append(cell);
  }
  table.tHead.replaceChildren(row);
}

/**
 * Show rows, in order. A row is { key, cells, style }; a cell is text, or [text, class], or an element that the caller keeps.
 */
export function rows(table, wanted) {
  const body = table.tBodies[0];
  const kept = table.keptRows || (table.keptRows = new Map());
  const keys = new Set(wanted.map((row) => row.key));
  for (const [key, row] of kept) {
    if (!keys.has(key)) {
      row.remove();
      kept.delete(key);
    }
  }
  wanted.forEach((row, index) => {
    let element = kept.get(row.key);
    if (!element) kept.set(row.key, (element = document.createElement("tr")));
    if (body.rows[index] !== element) body.insertBefore(element, body.rows[index] || null);
    setClass(element, row.style || "");
    fill(element, row.cells);
  });
}

function fill(row, cells) {
  while (row.cells.length > cells.length) row.deleteCell(-1);
  cells.forEach((cell, index) => {
    const place = row.cells[index] || row.insertCell();
    if (cell instanceof Node) {
      if (place.firstChild !== cell) place.replaceChildren(cell);
      return;
    }
    const [text, style] = Array.isArray(cell) ? cell : [cell, ""];
    setText(place, text);
    setClass(place, style || "");
  });
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setClass(element, style) {
  if (element.className !== style) element.className = style;
}

/** Lines of a ladder or tape, made once and changed in place: `lines` is a list of { texts, style, bar }. */
export function lines(container, tag, texts, wanted) {
  while (container.children.length > wanted.length) container.lastElementChild.remove();
  while (container.children.length < wanted.length) container.append(emptyLine(tag, texts));
  wanted.forEach((line, index) => {
    const element = container.children[index];
    setClass(element, line.style ? `${tag} ${line.style}` : tag);
    line.texts.forEach((text, place) => {
      const [value, style] = Array.isArray(text) ? text : [text, ""];
      setText(element.children[place], value);
      setClass(element.children[place], style);
    });
    if (line.bar !== undefined) element.lastElementChild.style.transform = `scaleX(${line.bar.toFixed(3)})`;
  });
}

function emptyLine(tag, texts) {
  const line = document.createElement("div");
  line.className = tag;
  for (const name of texts) line.append(document.createElement(name));
  return line;
}
