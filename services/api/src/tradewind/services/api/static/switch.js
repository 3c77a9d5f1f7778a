// Commands to the platform: cancel, kill switch and release. Every one says what came of it.

const HEADERS = { "Content-Type": "application/json", "X-Tradewind-Request": "yes" };
const TIMEOUT_MS = 6000;

async function command(method, path, body) {
  const request = { method, headers: HEADERS, signal: AbortSignal.timeout(TIMEOUT_MS) };
  if (body) request.body = JSON.stringify(body);
  let answer;
  try {
    answer = await fetch("/api/v1" + path, request);
  } catch (error) {
    throw new Error("No answer from the platform; look whether it took effect.", { cause: error });
  }
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || `Refused with status ${answer.status}.`);
  return answer.json();
}

export const cancelOrder = (id) => command("DELETE", `/orders/${encodeURIComponent(id)}`);

const element = (id) => document.getElementById(id);

/** The dialog of the kill switch and of its release: the second of the two steps. */
export class TradingSwitch {
  constructor(say) {
    this.say = say;
    this.dialog = element("dialog");
    for (const id of ["dialog-why", "dialog-actor"]) element(id).addEventListener("input", () => this.check());
    element("dialog-back").addEventListener("click", () => this.dialog.close());
    element("dialog-confirm").addEventListener("click", () => this.confirm());
    element("dialog-scope").addEventListener("change", () => this.label());
    this.dialog.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.tagName === "INPUT" && !element("dialog-confirm").disabled) this.confirm();
    });
  }

  /** Ask for a state of one of `scopes`, which is a list of [scope, text]. */
  open(state, scopes, chosen) {
    this.state = state;
    element("dialog-scope").replaceChildren(...scopes.map(([scope, text]) => new Option(text, scope, false, scope === chosen)));
    element("dialog-why").value = "";
    element("dialog-actor").value = localStorage.getItem("actor") || "";
    element("dialog-problem").textContent = "";
    const halt = state === "HALTED";
    element("dialog-title").textContent = halt ? "Halt trading" : "Release";
    element("dialog-about").textContent = halt
      ? "Every resting order of the scope is cancelled at once, and new orders are refused until somebody releases it."
      : "New orders of the scope are accepted again. Look at positions and at the reason of the halt first.";
    element("dialog-confirm").className = halt ? "danger" : "calm";
    this.label();
    this.check();
    this.dialog.showModal();
    element("dialog-why").focus();
  }

  label() {
    const scope = element("dialog-scope").selectedOptions[0]?.textContent || "";
    element("dialog-confirm").textContent = (this.state === "HALTED" ? "Halt " : "Release ") + scope;
  }

  check() {
    const filled = element("dialog-why").value.trim().length >= 3 && element("dialog-actor").value.trim().length >= 1;
    element("dialog-confirm").disabled = !filled;
  }

  async confirm() {
    const button = element("dialog-confirm");
    const actor = element("dialog-actor").value.trim();
    const body = { scope: element("dialog-scope").value, state: this.state, why: element("dialog-why").value.trim(), actor };
    button.disabled = true;
    try {
      await command("POST", "/trading-state", body);
      localStorage.setItem("actor", actor);
      this.dialog.close();
      this.say(`${this.state === "HALTED" ? "Halt" : "Release"} of ${body.scope} is on its way.`);
    } catch (error) {
      element("dialog-problem").textContent = error.message;
      button.disabled = false;
    }
  }
}
