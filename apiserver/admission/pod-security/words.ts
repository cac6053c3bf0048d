// Who set what, as the checks say it; and the containers of a pod. Pure.
import type { Container, EphemeralContainer, PodSpec } from '../../../api/types/core-v1.ts';

export type AnyContainer = Container | EphemeralContainer;

export const containersOf = (spec: PodSpec): AnyContainer[] => [
  ...(spec.initContainers ?? []),
  ...(spec.containers ?? []),
  ...(spec.ephemeralContainers ?? []),
];

export const quoted = (items: readonly string[]): string => items.map((each) => `"${each}"`).join(', ');

export const plural = (singular: string, several: string, count: number): string => (count === 1 ? singular : several);

/** `container "a"`, `containers "a", "b"`. */
export const containerNames = (names: readonly string[]): string =>
  `${plural('container', 'containers', names.length)} ${quoted(names)}`;

/** `pod and containers "a", "b"`. */
export function setters(isPod: boolean, names: readonly string[]): string {
  const parts = isPod ? ['pod'] : [];
  if (names.length > 0) parts.push(containerNames(names));
  return parts.join(' and ');
}

export const sorted = (values: Iterable<string>): string[] => [...new Set(values)].sort();

/** A pod with users of its own: root in it is nobody outside. */
export const hasOwnUsers = (spec: PodSpec): boolean => spec.hostUsers === false;

export const isWindows = (spec: PodSpec): boolean => spec.os?.name === 'windows';
