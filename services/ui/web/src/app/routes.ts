/** The address after `#`: a view, what it shows, and how. `#/orders/manual-1?side=BUY` */

import { useSyncExternalStore } from "react";

export interface Route {
  view: string;
  rest: readonly string[];
  query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/").filter(Boolean).map(decoded);
  return { view: view ?? "market", rest, query: new URLSearchParams(query) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** `href("orders", "manual-1")` is `#/orders/manual-1`. */
export function href(view: string, ...rest: string[]): string {
  return `#/${[view, ...rest].map(encodeURIComponent).join("/")}`;
}

export function navigate(view: string, ...rest: string[]): void {
  location.hash = href(view, ...rest);
}

/** Change what stands after `?` without a step in the browser's history: filters and the like. */
export function replaceQuery(query: URLSearchParams): void {
  const [path] = location.hash.split("?");
  const text = query.toString();
  history.replaceState(null, "", `${path ?? "#/"}${text ? `?${text}` : ""}`);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

let known: { hash: string; route: Route } | null = null;

function current(): Route {
  if (known?.hash !== location.hash) known = { hash: location.hash, route: parseRoute(location.hash) };
  return known.route;
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
}

export function useRoute(): Route {
  return useSyncExternalStore(subscribe, current);
}
