/** The views, in the order of the rail. Each is loaded when it is first opened. */

import { lazy, type ComponentType, type LazyExoticComponent } from "react";
import type { IconName } from "../shown/Icon";

export interface ViewEntry {
  name: string;
  title: string;
  /** After `g`. */
  key: string;
  icon: IconName;
  view: LazyExoticComponent<ComponentType>;
  /** Not shown to who may not do this. */
  needs?: string;
  /** In the bottom bar of a narrow screen; the others stand behind "More". */
  isMain?: boolean;
}

export const VIEWS: readonly ViewEntry[] = [
  {
    name: "market",
    title: "Market",
    key: "m",
    icon: "market",
    isMain: true,
    view: lazy(() => import("../views/market")),
  },
  {
    name: "orders",
    title: "Orders",
    key: "o",
    icon: "orders",
    isMain: true,
    view: lazy(() => import("../views/orders")),
  },
  {
    name: "portfolio",
    title: "Portfolio",
    key: "p",
    icon: "portfolio",
    isMain: true,
    view: lazy(() => import("../views/portfolio")),
  },
  {
    name: "strategies",
    title: "Strategies",
    key: "s",
    icon: "strategies",
    view: lazy(() => import("../views/strategies")),
  },
  { name: "risk", title: "Risk", key: "r", icon: "risk", isMain: true, view: lazy(() => import("../views/risk")) },
  { name: "system", title: "System", key: "y", icon: "system", view: lazy(() => import("../views/system")) },
  { name: "users", title: "Users", key: "u", icon: "users", view: lazy(() => import("../views/users")) },
];
