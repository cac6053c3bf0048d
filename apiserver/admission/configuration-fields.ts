// Reading the fields of configuration files: what is not known is refused. Pure.

export type Fields = Record<string, unknown>;

/** Throws with the path of the field that is wrong; so do the others. */
export function record(value: unknown, at: string, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${at}: must be an object`);
  const unknown = Object.keys(value).find((each) => !known.includes(each));
  if (unknown !== undefined) throw new Error(`${at}: unknown field ${JSON.stringify(unknown)}`);
  return value as Fields;
}

export function list(fields: Fields, name: string, at: string): unknown[] {
  const value = fields[name] ?? [];
  if (!Array.isArray(value)) throw new Error(`${at}.${name}: must be a list`);
  return value;
}

export function strings(fields: Fields, name: string, at: string): string[] {
  const found = list(fields, name, at);
  if (found.some((each) => typeof each !== 'string')) throw new Error(`${at}.${name}: must be a list of strings`);
  return found as string[];
}

export function oneOf<T extends string>(fields: Fields, name: string, at: string, known: readonly T[]): T {
  const value = fields[name];
  if (known.includes(value as T)) return value as T;
  const supported = known.map((each) => JSON.stringify(each)).join(', ');
  throw new Error(`${at}.${name}: Unsupported value: ${JSON.stringify(value ?? '')}: supported values: ${supported}`);
}

/** One of the apiVersion and kind pairs that a plugin's configuration may have, and of its fields those that are known. */
export function configurationOf(
  value: unknown,
  at: string,
  types: readonly (readonly [apiVersion: string, kind: string])[],
  known: readonly string[],
): Fields {
  const fields = record(value, at, ['apiVersion', 'kind', ...known]);
  if (!types.some(([version, kind]) => fields['apiVersion'] === version && fields['kind'] === kind)) {
    throw new Error(`${at}: expected apiVersion ${types[0]?.[0]}, kind ${types[0]?.[1]}`);
  }
  return fields;
}
