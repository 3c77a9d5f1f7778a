/** Lines of the ladder and of the tape: made once, then only what is new is written. No React per frame. */

export interface Line {
  texts: readonly string[];
  className: string;
  /** Length of the bar behind it, 0 to 1. */
  bar?: number;
  /** What a click on it means. */
  value?: string;
}

/** A line is a `<div>` of one `<span>` per text and an `<i>` for its bar. */
export function drawLines(place: HTMLElement, lines: readonly Line[], role?: string): void {
  while (place.children.length > lines.length) place.lastElementChild?.remove();
  lines.forEach((line, index) => {
    const element = (place.children[index] ?? place.appendChild(emptyLine(line, role))) as HTMLElement;
    if (element.className !== line.className) element.className = line.className;
    if (line.value !== undefined && element.dataset["value"] !== line.value) element.dataset["value"] = line.value;
    line.texts.forEach((text, at) => {
      const cell = element.children[at];
      if (cell && cell.textContent !== text) cell.textContent = text;
    });
    const bar = element.lastElementChild;
    if (line.bar !== undefined && bar instanceof HTMLElement) bar.style.transform = `scaleX(${line.bar.toFixed(3)})`;
  });
}

function emptyLine(line: Line, role: string | undefined): HTMLElement {
  const element = document.createElement("div");
  if (role) element.setAttribute("role", role);
  for (let at = 0; at < line.texts.length; at += 1) element.append(document.createElement("span"));
  if (line.bar !== undefined) element.append(document.createElement("i"));
  return element;
}

/** How many lines of a height fit into an element, told again when it changes. */
export function watchHeight(element: HTMLElement, lineHeight: () => number, tell: (count: number) => void): () => void {
  const observer = new ResizeObserver(() => {
    tell(Math.max(1, Math.floor(element.clientHeight / lineHeight())));
  });
  observer.observe(element);
  return () => observer.disconnect();
}
