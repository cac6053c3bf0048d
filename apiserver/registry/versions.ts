// Managed fields speak of every version of a kind: they are computed synchronously, over conversions that may have to be
// awaited. Work that needs one is run again when it is there.
import { convertObjects } from '../../api/conversion.ts';
import type { Kind } from '../../api/kind.ts';
import type { WriteFacts } from '../../api/managed-fields/update.ts';
import { trackUpdate } from '../../api/managed-fields/update.ts';
import { apiVersionOf, type KubeObject, parseApiVersion } from '../../api/object.ts';
import type { Scheme } from '../../api/scheme.ts';

type Convert = NonNullable<WriteFacts['convert']>;

/** Thrown through the work; never leaves this file. */
class Pending extends Error {
  readonly key: string;
  readonly conversion: Promise<KubeObject[]>;

  constructor(key: string, conversion: Promise<KubeObject[]>) {
    super('a conversion is under way');
    this.key = key;
    this.conversion = conversion;
  }
}

/** Runs `work` until every conversion it asks for is known; it must change nothing before it has asked. Throws what either throws. */
export function withConversions<T>(scheme: Scheme, kind: Kind, work: (convert: Convert) => T): T | Promise<T> {
  const known = new Map<string, KubeObject>();
  const convert: Convert = (object, apiVersion) => {
    const to = versionOf(scheme, kind, apiVersion);
    if (!to) return undefined;
    const from = object.apiVersion ? versionOf(scheme, kind, object.apiVersion) : kind;
    if (!from) return undefined;
    if (from === to) return { object, target: to };
    const key = `${apiVersion} ${JSON.stringify(object)}`;
    const found = known.get(key);
    if (found) return { object: found, target: to };
    const converted = convertObjects(from, to, [object]);
    if (converted instanceof Promise) throw new Pending(key, converted);
    return { object: converted[0] as KubeObject, target: to };
  };
  const attempt = (): T | Promise<T> => {
    try {
      return work(convert);
    } catch (error) {
      if (!(error instanceof Pending)) throw error;
      return error.conversion.then(([object]) => {
        known.set(error.key, object as KubeObject);
        return attempt();
      });
    }
  };
  return attempt();
}

/** The kind of the same objects in another version, or under another group's name. */
function versionOf(scheme: Scheme, kind: Kind, apiVersion: string): Kind | undefined {
  if (apiVersion === apiVersionOf(kind)) return kind;
  const gv = parseApiVersion(apiVersion);
  const found = gv && scheme.byKind(gv.group, gv.version, kind.kind);
  return found && (found.conversion?.storage() ?? found) === (kind.conversion?.storage() ?? kind) ? found : undefined;
}

/** `trackUpdate` with the versions of the scheme. */
export function trackWrite(
  scheme: Scheme,
  old: KubeObject | undefined,
  object: KubeObject,
  facts: Omit<WriteFacts, 'target' | 'convert'> & { target: Kind },
): void | Promise<void> {
  return withConversions(scheme, facts.target, (convert) => trackUpdate(old, object, { ...facts, convert }));
}
