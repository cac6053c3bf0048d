// A probe's port: a number, or the name of one of the container's ports. Pure.
import type { Container } from '../../api/types/core-v1.ts';

export function resolvePort(container: Container, port: number | string): number {
  if (typeof port === 'number') return check(port);
  const named = container.ports?.find((each) => each.name === port);
  if (named) return check(named.containerPort);
  if (/^\d+$/.test(port)) return check(Number(port));
  throw new Error(`couldn't find port: "${port}" in container ${container.name}`);
}

function check(port: number): number {
  if (port > 0 && port < 65536) return port;
  throw new Error(`invalid port number: ${port}`);
}
