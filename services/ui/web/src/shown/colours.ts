/** The tokens' colours as a canvas needs them: light-dark() and custom properties resolved. */

const NAMES = [
  "panel",
  "raised",
  "line",
  "edge",
  "text",
  "soft",
  "muted",
  "up",
  "down",
  "up-solid",
  "down-solid",
  "accent",
  "warn",
] as const;

export type Colours = Record<(typeof NAMES)[number], string>;

export function colours(): Colours {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const found = Object.fromEntries(
    NAMES.map((name) => {
      probe.style.color = `var(--${name})`;
      return [name, getComputedStyle(probe).color];
    }),
  ) as Colours;
  probe.remove();
  return found;
}

/** A colour of `colours()` that lets something through. */
export function faint(colour: string, alpha: number): string {
  const [red = "0", green = "0", blue = "0"] = colour.match(/[\d.]+/g) ?? [];
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}
