// Two versions of a value as lines of what was taken away and what came: `- spec.hostname: "a"`, `+ spec.hostname: "b"`.

/** Only what differs, leaf by leaf; lists are compared by position. */
export function describeChange(old: unknown, value: unknown, field: string): string {
  return [...lines(old, value, field)].join('\n');
}

function* lines(old: unknown, value: unknown, field: string): Generator<string> {
  if (isContainer(old) && isContainer(value) && Array.isArray(old) === Array.isArray(value)) {
    const isList = Array.isArray(old);
    for (const key of new Set([...Object.keys(old), ...Object.keys(value)])) {
      yield* lines(old[key], value[key], isList ? `${field}[${key}]` : `${field}.${key}`);
    }
    return;
  }
  if (JSON.stringify(old) === JSON.stringify(value)) return;
  if (old !== undefined) yield `- ${field}: ${JSON.stringify(old)}`;
  if (value !== undefined) yield `+ ${field}: ${JSON.stringify(value)}`;
}

const isContainer = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
