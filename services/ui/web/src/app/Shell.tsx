/** The frame around every view: where one is, where orders go, whether what is seen is live, and the way to stop. */

import { DropdownMenu } from "radix-ui";
import { Suspense, useEffect, useState, type ReactElement } from "react";
import { session, useMay, useSession } from "../session/session";
import { Caught } from "../shown/Caught";
import { Icon } from "../shown/Icon";
import { Skeleton } from "../shown/notes";
import { toast } from "../shown/toasts";
import { HelpDialog } from "./HelpDialog";
import { KillSwitchDialog } from "./KillSwitchDialog";
import { useKeys } from "./keys";
import { PasswordDialog } from "./PasswordDialog";
import { prefer, usePreferences, type Theme } from "./preferences";
import { href, navigate, useRoute } from "./routes";
import { AlertsLink, Destination, LinkSign, Notices, TradingStateSign } from "./signs";
import { VIEWS, type ViewEntry } from "./views";

export function Shell(): ReactElement {
  const route = useRoute();
  const [dialog, setDialog] = useState<"help" | "kill" | "password" | null>(null);
  const mayRisk = useMay("risk");
  const view = VIEWS.find((one) => one.name === route.view);
  useEffect(() => {
    document.title = `${view?.title ?? "Not found"} \u00B7 Tradewind`;
  }, [view]);
  useKeys("Everywhere", [
    { keys: "?", about: "This list", run: () => setDialog("help") },
    ...(mayRisk ? [{ keys: "K", about: "Kill switch", run: () => setDialog("kill") }] : []),
    ...VIEWS.map((one) => ({ keys: `g ${one.key}`, about: `Go to ${one.title}`, run: () => navigate(one.name) })),
  ]);
  return (
    <div className="frame">
      <a className="skip" href="#main" onClick={focusMain}>
        Skip to the view
      </a>
      <Rail chosen={route.view} />
      <TopBar title={view?.title ?? ""} onDialog={setDialog} />
      <Notices />
      <main id="main" tabIndex={-1} className={`view view-${view?.name ?? "none"}`}>
        <Caught key={route.view}>
          <Suspense fallback={<Skeleton lines={8} />}>{view ? <view.view /> : <NotFound />}</Suspense>
        </Caught>
      </main>
      <HelpDialog open={dialog === "help"} onClose={() => setDialog(null)} />
      <KillSwitchDialog open={dialog === "kill"} onClose={() => setDialog(null)} />
      <PasswordDialog open={dialog === "password"} onClose={() => setDialog(null)} />
    </div>
  );
}

function focusMain(event: React.MouseEvent): void {
  // The address holds the view; a plain link to #main would leave it.
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function NotFound(): ReactElement {
  return (
    <div className="gate">
      <h1>No such view</h1>
      <p>
        <a href={href("market")}>Go to the market</a>
      </p>
    </div>
  );
}

function Rail({ chosen }: { chosen: string }): ReactElement {
  const others = VIEWS.filter((one) => !one.isMain);
  return (
    <nav className="rail" aria-label="Views">
      <a className="brand" href={href("market")} aria-label="Tradewind, to the market">
        <img src="/icon.svg" alt="" width="26" height="26" />
      </a>
      {VIEWS.map((one) => (
        <RailLink key={one.name} entry={one} isChosen={one.name === chosen} />
      ))}
      <DropdownMenu.Root modal={false}>
        <DropdownMenu.Trigger className={others.some((one) => one.name === chosen) ? "rail-more chosen" : "rail-more"}>
          <Icon name="more" />
          <span>More</span>
        </DropdownMenu.Trigger>
        <DropdownMenu.Portal>
          <DropdownMenu.Content className="menu" align="end" side="top" sideOffset={6}>
            {others.map((one) => (
              <DropdownMenu.Item key={one.name} onSelect={() => navigate(one.name)}>
                <Icon name={one.icon} /> {one.title}
              </DropdownMenu.Item>
            ))}
          </DropdownMenu.Content>
        </DropdownMenu.Portal>
      </DropdownMenu.Root>
    </nav>
  );
}

function RailLink({ entry, isChosen }: { entry: ViewEntry; isChosen: boolean }): ReactElement {
  return (
    <a
      href={href(entry.name)}
      className={`${entry.isMain ? "main-view" : "other-view"}${isChosen ? " chosen" : ""}`}
      title={`${entry.title} (g ${entry.key})`}
      {...(isChosen ? { "aria-current": "page" as const } : {})}
    >
      <Icon name={entry.icon} />
      <span>{entry.title}</span>
    </a>
  );
}

type OpenDialog = (dialog: "help" | "kill" | "password") => void;

function TopBar({ title, onDialog }: { title: string; onDialog: OpenDialog }): ReactElement {
  return (
    <header className="topbar">
      <h1>{title}</h1>
      <Destination />
      <div className="signs">
        <LinkSign />
        <AlertsLink />
        <TradingStateSign />
        <button type="button" className="kill" onClick={() => onDialog("kill")}>
          <Icon name="stop" size={16} /> <span>Kill switch</span>
        </button>
        <PersonMenu onDialog={onDialog} />
      </div>
    </header>
  );
}

const THEMES: readonly { value: Theme; title: string }[] = [
  { value: "system", title: "As the system" },
  { value: "dark", title: "Dark" },
  { value: "light", title: "Light" },
];

function PersonMenu({ onDialog }: { onDialog: OpenDialog }): ReactElement {
  const user = useSession((now) => now.user);
  const theme = usePreferences((now) => now.theme);
  const zone = usePreferences((now) => now.zone);
  const leave = (): void => {
    session.logout().catch((error: unknown) => toast(error instanceof Error ? error.message : "Not logged out", "bad"));
  };
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger
        className="person"
        aria-label={`${user?.name ?? ""}, ${user?.role ?? ""}: account and settings`}
      >
        <Icon name="person" size={18} />
        <span className="person-name">
          {user?.name} <span className="soft">{user?.role}</span>
        </span>
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="menu" align="end" sideOffset={6}>
          <DropdownMenu.Label>Theme</DropdownMenu.Label>
          <DropdownMenu.RadioGroup value={theme} onValueChange={(value) => prefer({ theme: value as Theme })}>
            {THEMES.map((one) => (
              <DropdownMenu.RadioItem key={one.value} value={one.value}>
                {one.title}
              </DropdownMenu.RadioItem>
            ))}
          </DropdownMenu.RadioGroup>
          <DropdownMenu.Separator />
          <DropdownMenu.Label>Times</DropdownMenu.Label>
          <DropdownMenu.RadioGroup value={zone} onValueChange={(value) => prefer({ zone: value as "local" | "UTC" })}>
            <DropdownMenu.RadioItem value="local">Local</DropdownMenu.RadioItem>
            <DropdownMenu.RadioItem value="UTC">UTC</DropdownMenu.RadioItem>
          </DropdownMenu.RadioGroup>
          <DropdownMenu.Separator />
          <DropdownMenu.Item onSelect={() => onDialog("help")}>Keys and help</DropdownMenu.Item>
          <DropdownMenu.Item onSelect={() => onDialog("password")}>Change password</DropdownMenu.Item>
          <DropdownMenu.Item onSelect={leave}>Log out</DropdownMenu.Item>
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
