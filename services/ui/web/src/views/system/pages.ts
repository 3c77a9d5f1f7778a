/** The pages of docs/operating, which travel with the application: at night nobody wants to look for a repository. */

const PAGES = import.meta.glob<string>("../../../../../../docs/operating/*.md", { query: "?raw", import: "default" });

/** "docs/operating/kill-switch.md" is "kill-switch". */
export function pageName(page: string): string {
  return (page.split("#")[0] ?? "").split("/").at(-1)?.replace(/\.md$/, "") ?? "";
}

/** The text of a page; null if it did not come along. */
export async function pageText(page: string): Promise<string | null> {
  const name = pageName(page);
  const load = Object.entries(PAGES).find(([path]) => pageName(path) === name)?.[1];
  return name && load ? load() : null;
}
