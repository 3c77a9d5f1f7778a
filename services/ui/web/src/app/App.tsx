/** What is shown: the claim of a one-time link, the login, or the platform. */

import { useEffect, type ReactElement } from "react";
import { startStream, stopStream } from "../live/live";
import { ClaimPage } from "../session/ClaimPage";
import { LoginPage, SetupPage, UnreachablePage } from "../session/LoginPage";
import { useSession } from "../session/session";
import { Caught } from "../shown/Caught";
import { Toasts } from "../shown/toasts";
import { useRoute } from "./routes";
import { Shell } from "./Shell";

export function App(): ReactElement {
  return (
    <Caught>
      <Gate />
      <Toasts />
    </Caught>
  );
}

function Gate(): ReactElement | null {
  const route = useRoute();
  const state = useSession((now) => now.state);
  const setupNeeded = useSession((now) => now.setupNeeded);
  if (route.view === "claim") return <ClaimPage token={route.rest[0] ?? ""} isFirst={setupNeeded} />;
  if (state === "unknown") return null;
  if (state === "unreachable") return <UnreachablePage />;
  if (state === "nobody") return setupNeeded ? <SetupPage /> : <LoginPage />;
  return <Live />;
}

function Live(): ReactElement {
  useEffect(() => {
    startStream();
    return stopStream;
  }, []);
  return <Shell />;
}
