// JSON merge patch (RFC 7386): objects merge, null removes, everything else replaces. The target is not changed.
import { deepClone, setOwn } from './equality.ts';

/** Bounds recursion on hostile patches; deeper input is refused by the decoder before it comes here. */
type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Returns a new value that shares nothing with `patch` and only unchanged parts with `target`. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return deepClone(patch);
  const result: Json = {};
  if (isObject(target)) for (const key of Object.keys(target)) setOwn(result, key, target[key]);
  for (const key of Object.keys(patch)) {
    const value = patch[key];
    if (value === null || value === undefined) delete result[key];
    else setOwn(result, key, applyMergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value));
  }
  return result;
}

/** The merge patch that turns `from` into `to`; undefined when they are equal. */
export function createMergePatch(from: unknown, to: unknown): unknown {
  if (!isObject(from) || !isObject(to)) return JSON.stringify(from) === JSON.stringify(to) ? undefined : to;
  const patch: Json = {};
  for (const key of Object.keys(from)) if (!Object.hasOwn(to, key)) setOwn(patch, key, null);
  for (const key of Object.keys(to)) {
    const part = Object.hasOwn(from, key) ? createMergePatch(from[key], to[key]) : to[key];
    if (part !== undefined) setOwn(patch, key, part);
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}
