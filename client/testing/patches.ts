// JSON merge patch (RFC 7386) and the part of JSON patch (RFC 6902) that controllers send, for the fake client.

export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    target !== null && typeof target === 'object' && !Array.isArray(target)
      ? { ...(target as Record<string, unknown>) }
      : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = applyMergePatch(result[key], value);
  }
  return result;
}

interface Operation {
  op: string;
  path: string;
  value?: unknown;
}

/** Supports add, replace, remove and test. */
export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  const root = { '': target } as Record<string, unknown>;
  for (const { op, path, value } of patch as Operation[]) {
    const keys = path.split('/').map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = keys.pop() as string;
    let parent = root as Record<string, unknown>;
    for (const key of keys) {
      const next = parent[key];
      if (next === null || typeof next !== 'object') throw new Error(`JSON patch: nothing at ${path}`);
      parent = next as Record<string, unknown>;
    }
    if (op === 'test') {
      if (JSON.stringify(parent[last]) !== JSON.stringify(value)) throw new Error(`JSON patch: test failed at ${path}`);
    } else if (Array.isArray(parent)) {
      const at = last === '-' ? parent.length : Number(last);
      if (op === 'add') parent.splice(at, 0, value);
      else if (op === 'remove') parent.splice(at, 1);
      else parent[at] = value;
    } else if (op === 'remove') delete parent[last];
    else if (op === 'add' || op === 'replace') parent[last] = value;
    else throw new Error(`JSON patch: no operation ${op}`);
  }
  return root[''];
}
