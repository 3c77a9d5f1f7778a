/** Begins the page. */

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app/App";
import { listenToKeys } from "./app/keys";
import { applyTheme, usePreferences } from "./app/preferences";
import { session } from "./session/session";
import "./styles/tokens.css";
import "./styles/elements.css";
import "./styles/frame.css";
import "./styles/tables.css";
import "./styles/forms.css";

applyTheme(usePreferences.getState().theme);
usePreferences.subscribe((now) => applyTheme(now.theme));
listenToKeys();
void session.look();

const place = document.getElementById("page");
if (!place) throw new Error("index.html has no element with the id page");
createRoot(place).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
