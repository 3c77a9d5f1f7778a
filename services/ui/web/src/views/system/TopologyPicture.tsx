/** The services and how they stand, in one look. */

import { useMemo, type ReactElement } from "react";
import type { SystemService } from "./types";
import { BOX, toneOf, topologyOf, type Node } from "./topology";

const NAME_MAX = 19;

export function TopologyPicture({ services }: { services: readonly SystemService[] }): ReactElement | null {
  const topology = useMemo(() => topologyOf(services), [services]);
  const nodes = useMemo(() => new Map(topology.nodes.map((node) => [node.service.name, node])), [topology]);
  if (!services.length) return null;
  const bad = services.filter((service) => !service.ready).map((service) => service.name);
  const summary = bad.length ? `not ready: ${bad.join(", ")}` : "all are ready";
  return (
    <div className="topology" role="region" tabIndex={0} aria-label="Picture of the services">
      <svg
        viewBox={`0 0 ${topology.width} ${topology.height}`}
        role="img"
        aria-label={`${services.length} services, ${summary}`}
        width={topology.width}
        height={topology.height}
      >
        {topology.edges.map((edge) => (
          <Line key={`${edge.from} ${edge.to}`} from={nodes.get(edge.from)} to={nodes.get(edge.to)} />
        ))}
        {topology.nodes.map((node) => (
          <Box key={node.service.name} node={node} />
        ))}
      </svg>
    </div>
  );
}

function Line({
  from,
  to,
}: {
  from: Node<SystemService> | undefined;
  to: Node<SystemService> | undefined;
}): ReactElement | null {
  if (!from || !to) return null;
  const isSame = from.column === to.column;
  const x1 = isSame ? from.x + BOX.width / 2 : from.x + BOX.width;
  const y1 = isSame ? (from.y > to.y ? from.y : from.y + BOX.height) : from.y + BOX.height / 2;
  const x2 = isSame ? to.x + BOX.width / 2 : to.x;
  const y2 = isSame ? (from.y > to.y ? to.y + BOX.height : to.y) : to.y + BOX.height / 2;
  const bend = (x1 + x2) / 2;
  return <path className="flow" d={`M${x1},${y1} C${bend},${y1} ${bend},${y2} ${x2},${y2}`} />;
}

function Box({ node }: { node: Node<SystemService> }): ReactElement {
  const { service, x, y } = node;
  // That it is a strategy is seen from where it stands.
  const whole = service.name.replace(/^strategy-/, "");
  const name = whole.length > NAME_MAX ? `${whole.slice(0, NAME_MAX - 1)}\u2026` : whole;
  return (
    <g className={`node ${toneOf(service)}`}>
      <title>{`${service.name}: ${service.state}${service.reason ? `, ${service.reason}` : ""}`}</title>
      <rect x={x} y={y} width={BOX.width} height={BOX.height} rx="5" />
      {service.ready ? (
        <circle cx={x + 14} cy={y + BOX.height / 2} r="4.5" />
      ) : (
        <rect className="sign" x={x + 9.5} y={y + BOX.height / 2 - 4.5} width="9" height="9" />
      )}
      <text x={x + 26} y={y + BOX.height / 2 + 4}>
        {name}
      </text>
    </g>
  );
}
