// The parameters of requests in the two dialects. Nearly all operations have the same ones: 2.0 names them once for the whole
// document and refers to them, under names that depend on what they are, so that documents of several servers can be merged.
import { createHash } from 'node:crypto';
import { sectionText } from './descriptions.ts';
import { type Dialect, described, type JsonSchema } from './openapi-schemas.ts';

const TYPES: Readonly<Record<string, 'string' | 'boolean' | 'integer'>> = {
  allowWatchBookmarks: 'boolean',
  continue: 'string',
  dryRun: 'string',
  fieldManager: 'string',
  fieldSelector: 'string',
  fieldValidation: 'string',
  force: 'boolean',
  gracePeriodSeconds: 'integer',
  ignoreStoreReadErrorWithClusterBreakingPotential: 'boolean',
  labelSelector: 'string',
  limit: 'integer',
  name: 'string',
  namespace: 'string',
  orphanDependents: 'boolean',
  pretty: 'string',
  propagationPolicy: 'string',
  resourceVersion: 'string',
  resourceVersionMatch: 'string',
  sendInitialEvents: 'boolean',
  timeoutSeconds: 'integer',
  watch: 'boolean',
};
const IN_PATH = ['name', 'namespace'];

/** The parameters that the operations of one document need. */
export class ParameterSet {
  /** What 2.0 has under `parameters`. */
  readonly shared: Record<string, JsonSchema> = {};
  #dialect: Dialect;
  #byName = new Map<string, JsonSchema>();

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  /** How an operation lists the parameter. */
  get(name: string): JsonSchema {
    let found = this.#byName.get(name);
    if (!found) {
      found = this.#dialect === 'v3' ? this.#whole(name, {}) : this.#share(name);
      this.#byName.set(name, found);
    }
    return found;
  }

  /** The `{name}` of the paths of a kind. */
  nameOf(kind: string): JsonSchema {
    return this.#whole('name', { kind });
  }

  #share(name: string): JsonSchema {
    const whole = this.#whole(name, {});
    const hash = createHash('sha256').update(JSON.stringify(whole)).digest('hex').slice(0, 8);
    this.shared[`${name}-${hash}`] = whole;
    return { $ref: `#/parameters/${name}-${hash}` };
  }

  #whole(name: string, words: Readonly<Record<string, string>>): JsonSchema {
    const shape = { type: TYPES[name], uniqueItems: true };
    return {
      name,
      in: IN_PATH.includes(name) ? 'path' : 'query',
      ...described(sectionText('operations', 'Parameters', name, words)),
      ...(IN_PATH.includes(name) && { required: true }),
      ...(this.#dialect === 'v3' ? { schema: shape } : shape),
    };
  }
}
