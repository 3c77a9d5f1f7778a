/**
 * Who is logged in. The tokens are in cookies that no script can read; here is only what the platform says of them, and when
 * they must be refreshed.
 */

import { create } from "zustand";
import { api, ApiProblem, onUnauthorized, sendOnce, told } from "../api/client";
import type { AuthState, User } from "../api/types";
import { milliseconds } from "../money/format";

export type SessionState = "unknown" | "unreachable" | "nobody" | "somebody";

interface Session {
  state: SessionState;
  user: User | null;
  setupNeeded: boolean;
  oidc: AuthState["oidc"];
  /** Why the page asks for a login again. */
  notice: string;
}

export const useSession = create<Session>(() => ({
  state: "unknown",
  user: null,
  setupNeeded: false,
  oidc: null,
  notice: "",
}));

/** Shared by the windows of a browser, which share the cookies: who refreshes, does it for all. */
const EXPIRES_KEY = "tradewind-session-expires-ms";
const LOCK = "tradewind-refresh";
const EARLY_MS = 60_000;
const AGAIN_MS = 5_000;

let timer: ReturnType<typeof setTimeout> | undefined;

export const session = {
  /** Ask who is logged in. */
  async look(): Promise<void> {
    try {
      let state = await told(api.GET("/api/v1/auth/state"));
      if (!state.user && knownExpiry() && (await refresh())) state = await told(api.GET("/api/v1/auth/state"));
      useSession.setState({ setupNeeded: state.setup_needed, oidc: state.oidc });
      if (state.user) enter(state.user);
      else leave("");
    } catch {
      useSession.setState({ state: "unreachable" });
    }
  },

  async login(name: string, password: string): Promise<void> {
    enter(await sendOnce<User>("POST", "/auth/login", { name, password }));
  },

  async claim(token: string, name: string | undefined, password: string): Promise<void> {
    await sendOnce("POST", "/auth/claim", { token, ...(name ? { name } : {}), password });
    await session.look();
  },

  async logout(): Promise<void> {
    await sendOnce("POST", "/auth/logout");
    leave("");
  },

  /** The stream was closed or refused. Answers whether there is a session with which to connect again. */
  async renew(): Promise<boolean> {
    try {
      const state = await told(api.GET("/api/v1/auth/state"));
      if (state.user) {
        enter(state.user);
        return true;
      }
      if (await refresh()) return true;
      leave("Your session has ended. Log in again.");
      return false;
    } catch {
      // The platform is away, which says nothing about the session.
      return true;
    }
  },

  may(permission: string): boolean {
    return useSession.getState().user?.permissions.includes(permission) ?? false;
  },
};

/** Whether the person may do something; the platform decides, this only hides what it would refuse. */
export function useMay(permission: string): boolean {
  return useSession((now) => now.user?.permissions.includes(permission) ?? false);
}

function enter(user: User): void {
  useSession.setState({ state: "somebody", user, notice: "" });
  const expires = user.expires_at ? milliseconds(user.expires_at) : Date.now() + 5 * EARLY_MS;
  localStorage.setItem(EXPIRES_KEY, String(Math.round(expires)));
  plan(expires);
}

function leave(notice: string): void {
  clearTimeout(timer);
  localStorage.removeItem(EXPIRES_KEY);
  useSession.setState((before) => ({
    state: "nobody",
    user: null,
    notice: before.state === "somebody" ? notice : before.notice,
  }));
}

function plan(expiresMs: number): void {
  clearTimeout(timer);
  const left = expiresMs - Date.now();
  // Half of a very short life, else a minute before its end.
  timer = setTimeout(() => void keep(), Math.max(AGAIN_MS, Math.max(left - EARLY_MS, left / 2)));
}

async function keep(): Promise<void> {
  try {
    if (!(await refresh())) leave("Your session has ended. Log in again.");
  } catch {
    timer = setTimeout(() => void keep(), AGAIN_MS);
  }
}

function knownExpiry(): number {
  return Number(localStorage.getItem(EXPIRES_KEY) ?? 0);
}

let refreshing: Promise<boolean> | null = null;

/** New tokens. False when the session has ended; throws when the platform does not answer. */
function refresh(): Promise<boolean> {
  refreshing ??= locked(refreshOnce).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function refreshOnce(): Promise<boolean> {
  const user = useSession.getState().user;
  const mine = user?.expires_at ? milliseconds(user.expires_at) : 0;
  // Another window has done it meanwhile.
  if (user && knownExpiry() > mine + EARLY_MS) {
    const state = await told(api.GET("/api/v1/auth/state"));
    if (state.user) {
      enter(state.user);
      return true;
    }
  }
  try {
    enter(await sendOnce<User>("POST", "/auth/refresh"));
    return true;
  } catch (error) {
    if (error instanceof ApiProblem && (error.status === 401 || error.status === 403)) return false;
    throw error;
  }
}

async function locked<T>(work: () => Promise<T>): Promise<T> {
  // Only pages of a secure address have locks.
  return "locks" in navigator ? await navigator.locks.request(LOCK, work) : work();
}

onUnauthorized(async () => {
  try {
    const isBack = await refresh();
    if (!isBack) leave("Your session has ended. Log in again.");
    return isBack;
  } catch {
    return false;
  }
});
