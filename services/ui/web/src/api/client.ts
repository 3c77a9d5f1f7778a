/**
 * Requests to the api. Each is timed, carries the header that a foreign page cannot send, and refreshes the session once when
 * it is answered 401. What is refused becomes an ApiProblem whose message is the sentence that the platform said.
 */

import createClient from "openapi-fetch";
import type { paths } from "./schema";

const BASE = "/api/v1";
const TIMEOUT_MS = 10_000;
const HEADER = { "X-Tradewind-Request": "yes" } as const;

export type Query = Record<string, string | number | boolean | null | undefined>;
export type Method = "POST" | "PUT" | "PATCH" | "DELETE";

export class ApiProblem extends Error {
  /** Status 0: no answer came, so nobody can tell whether it took effect. */
  constructor(
    readonly status: number,
    message: string,
    readonly retryAfterS: number | null = null,
    readonly details: unknown = null,
  ) {
    super(message);
    this.name = "ApiProblem";
  }
}

let refreshSession: () => Promise<boolean> = () => Promise.resolve(false);

/** The session says how to get a new access token; it answers whether there is one. */
export function onUnauthorized(refresh: () => Promise<boolean>): void {
  refreshSession = refresh;
}

/** GET below /api/v1. */
export function read<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return request<T>("GET", path + queryText(query), undefined, signal);
}

/** A command below /api/v1. */
export function send<T = unknown>(method: Method, path: string, body?: unknown): Promise<T> {
  return request<T>(method, path, body);
}

/** The address of a download, such as `/orders.csv`. */
export function address(path: string, query: Query = {}): string {
  return BASE + path + queryText(query);
}

/** As `send`, without a second attempt after 401: for logging in and out. */
export function sendOnce<T = unknown>(method: Method, path: string, body?: unknown): Promise<T> {
  return once<T>(method, path, body);
}

async function request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  return content<T>(await fetched(made(method, path, body, signal)));
}

async function once<T>(method: string, path: string, body?: unknown): Promise<T> {
  return content<T>(await attempt(made(method, path, body)));
}

function made(method: string, path: string, body: unknown, signal?: AbortSignal): Request {
  const request: RequestInit = { method };
  if (signal) request.signal = signal;
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers = { "Content-Type": "application/json" };
  }
  return new Request(BASE + path, request);
}

async function content<T>(answer: Response): Promise<T> {
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

/** One request, and a second attempt with a new session when the first was answered 401. */
async function fetched(request: Request): Promise<Response> {
  const second = request.clone();
  try {
    return await attempt(request);
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 401 && (await refreshSession())) return attempt(second);
    throw error;
  }
}

async function attempt(request: Request): Promise<Response> {
  for (const [name, value] of Object.entries(HEADER)) request.headers.set(name, value);
  let answer: Response;
  try {
    answer = await fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(TIMEOUT_MS)]) });
  } catch (error) {
    if (request.signal.aborted) throw error;
    throw new ApiProblem(0, noAnswer(request.method));
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

/** The api with the types of its own description; `data` is there, or an ApiProblem was thrown. */
export const api = createClient<paths>({ baseUrl: "", fetch: fetched });

/** What an answer of `api` holds. */
export async function told<T>(answer: Promise<{ data?: T }>): Promise<T> {
  return (await answer).data as T;
}

function noAnswer(method: string): string {
  return method === "GET"
    ? "The platform did not answer. It is asked again when you try again."
    : "The platform did not answer. Look whether it took effect before you do it again.";
}

async function problemOf(answer: Response): Promise<ApiProblem> {
  const body = (await answer.json().catch(() => ({}))) as { detail?: unknown };
  const retryAfter = Number(answer.headers.get("Retry-After"));
  return new ApiProblem(answer.status, sentence(body.detail, answer.status), retryAfter || null, body.detail);
}

/** FastAPI answers a malformed body with a list of what is wrong where. */
export function sentence(detail: unknown, status: number): string {
  if (typeof detail === "string" && detail) return detail;
  if (Array.isArray(detail)) {
    const parts = detail.map((one: { loc?: unknown[]; msg?: string }) => {
      const place = (one.loc ?? []).filter((name) => name !== "body" && name !== "query").join(" ");
      return `${place ? `${place}: ` : ""}${one.msg ?? "not valid"}`;
    });
    return parts.join("; ");
  }
  if (status === 403) return "Your role may not do this. Ask an administrator.";
  return `Refused with status ${status}.`;
}

function queryText(query: Query): string {
  const chosen = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return chosen.length
    ? `?${new URLSearchParams(chosen.map(([name, value]) => [name, String(value)])).toString()}`
    : "";
}
