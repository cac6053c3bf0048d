// For the tests of defaults: what a kind adds to an object that a client sends.
import { decodeObject } from '../codec.ts';
import { deepClone } from '../equality.ts';
import type { Kind } from '../kind.ts';
import { createScheme } from './index.ts';

export const scheme = createScheme();

/** `secrets v1`, `jobs.batch v1`. */
export const kindName = ({ group, resource, version }: Kind) =>
  `${group ? `${resource}.${group}` : resource} ${version}`;

/** Values by path: `spec.containers[0].image`. */
export type Added = Record<string, unknown>;

function leaves(value: unknown, at: string, into: Map<string, unknown>): Map<string, unknown> {
  const isFilled = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
  if (!isFilled) {
    if (value !== undefined) into.set(at, value);
    return into;
  }
  for (const [key, member] of Object.entries(value as object)) {
    leaves(member, Array.isArray(value) ? `${at}[${key}]` : at === '' ? key : `${at}.${key}`, into);
  }
  return into;
}

/** By path: what the defaults add to what decoding makes of `sent`. */
export function added(kind: Kind, sent: object): Added {
  const body = {
    metadata: { name: 'x' },
    ...sent,
    apiVersion: kind.group ? `${kind.group}/${kind.version}` : kind.version,
  };
  const { object } = decodeObject(kind, Buffer.from(JSON.stringify({ ...body, kind: kind.kind })), 'json', { scheme });
  const before = leaves(deepClone(object), '', new Map());
  kind.setDefaults?.(object);
  const found: Added = {};
  for (const [path, value] of leaves(object, '', new Map())) {
    if (JSON.stringify(before.get(path)) !== JSON.stringify(value)) found[path] = value;
  }
  return found;
}
