/** The steps of an order on a line, and below it one by one with the times between. */

import { useMemo, type ReactElement } from "react";
import { Time } from "../../shown/quantities";
import { fractionOf, placed, titleOf, toneOf, took, type Placed, type Step, type Timeline } from "./timeline";

const WIDTH = 460;
const EDGE = 8;
const ROOM_FOR_TEXT = 58;

export function TimelinePicture({ steps }: { steps: readonly Step[] }): ReactElement | null {
  const timeline = useMemo(() => placed(steps), [steps]);
  if (!timeline.steps.length) return null;
  return (
    <div className="timeline">
      <Line timeline={timeline} />
      <ol>
        {timeline.steps.map((one, index) => (
          <StepLine key={`${one.step.step} ${index}`} placed={one} longest={longestOf(timeline)} />
        ))}
      </ol>
      <p className="muted">
        {took(timeline.totalNs)} in all
        {timeline.isLog ? "; lengths stand for the logarithm of the time" : ""}
      </p>
    </div>
  );
}

function longestOf(timeline: Timeline): number {
  return Math.max(1, ...timeline.steps.map((one) => one.tookNs));
}

function Line({ timeline }: { timeline: Timeline }): ReactElement {
  const x = (at: number): number => EDGE + at * (WIDTH - 2 * EDGE);
  const words = timeline.steps.map(
    (one) => `${titleOf(one.step.step)}${one.tookNs ? ` after ${took(one.tookNs)}` : ""}`,
  );
  return (
    <svg viewBox={`0 0 ${WIDTH} 46`} role="img" aria-label={words.join(", ")}>
      <line className="rail-line" x1={x(0)} x2={x(1)} y1="30" y2="30" />
      {timeline.steps.map((one, index) => {
        const before = timeline.steps[index - 1];
        const middle = before ? (x(before.at) + x(one.at)) / 2 : 0;
        return (
          <g key={index} className={`tone-${toneOf(one.step.step)}`}>
            {before && x(one.at) - x(before.at) > ROOM_FOR_TEXT ? (
              <text x={middle} y="18" textAnchor="middle">
                {took(one.tookNs)}
              </text>
            ) : null}
            <circle cx={x(one.at)} cy="30" r="5.5" />
          </g>
        );
      })}
    </svg>
  );
}

function StepLine({ placed: one, longest }: { placed: Placed; longest: number }): ReactElement {
  const share = one.tookNs ? Math.max(0.02, Math.log10(1 + one.tookNs / 1_000) / Math.log10(1 + longest / 1_000)) : 0;
  return (
    <li className={`tone-${toneOf(one.step.step)}`}>
      <span className="step-took">
        {one.tookNs ? `+${took(one.tookNs)}` : ""}
        <i style={{ width: `${Math.min(100, share * 100)}%` }} aria-hidden="true" />
      </span>
      <span className="step-dot" aria-hidden="true" />
      <span className="step-name">
        {titleOf(one.step.step)}
        {one.step.note ? <span className="soft"> {one.step.note}</span> : null}
      </span>
      <span className="muted">
        <Time ns={one.step.ts} />
        {fractionOf(one.step.ts)}
      </span>
    </li>
  );
}
