/** A net under what draws. */

import { Component, type ReactNode } from "react";

/** A mistake in a view must not leave an empty page to somebody who has open orders. */
export class Caught extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override render(): ReactNode {
    if (!this.state.error) return this.props.children;
    return (
      <div className="gate" role="alert">
        <h1>This view failed</h1>
        <p>The platform goes on; only what you see has stopped. {this.state.error.message}</p>
        <div className="dialog-actions">
          <button type="button" className="primary" onClick={() => location.reload()}>
            Load the page again
          </button>
        </div>
      </div>
    );
  }
}
