// Objects of one version of a kind as objects of another: by way of the version that both are stored as.
import { deepClone } from './equality.ts';
import type { Kind } from './kind.ts';
import { apiVersionOf, type KubeObject } from './object.ts';

/** Takes nothing over. A promise only when the conversion is asynchronous. */
export function convertObjects(
  from: Kind,
  to: Kind,
  objects: readonly KubeObject[],
): KubeObject[] | Promise<KubeObject[]> {
  const own = objects.map((each) => ({ ...deepClone(each), apiVersion: apiVersionOf(from), kind: from.kind }));
  if (from === to) return own;
  const stored = from.conversion && from.conversion.storage() !== from ? from.conversion.toStored(own) : own;
  return after(stored, (each) => after(to.conversion ? to.conversion.fromStored(each) : each, (all) => stamp(to, all)));
}

function stamp(kind: Kind, objects: KubeObject[]): KubeObject[] {
  for (const each of objects) {
    each.apiVersion = apiVersionOf(kind);
    each.kind = kind.kind;
  }
  return objects;
}

/** `next` with the value, now or when it is there. */
export function after<T, R>(value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(next) : next(value);
}
