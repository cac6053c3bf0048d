// The APIServices of what this server answers itself: made at the start, with every CRD that brings a new group version, and
// again when somebody deletes them; removed with the last kind of a CRD's group version.
import { ApiError } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Scheme } from '../../api/scheme.ts';
import type { Logger } from '../../lib/log.ts';
import { SERVER_USER } from '../bootstrap.ts';
import { listParameters } from '../registry/list.ts';
import type { Registry } from '../registry/registry.ts';
import type { Delegate } from './delegate.ts';
import { type ApiServiceObject, AUTOMANAGED, localApiService, localApiServices } from './priorities.ts';

export interface RegistrationOptions {
  registry: Registry;
  scheme: Scheme;
  delegates: readonly Delegate[];
  log: Logger;
}

export class Registration {
  #options: RegistrationOptions;
  #kind: Kind;
  #running: Promise<void> = Promise.resolve();
  #isDirty = false;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#kind = options.registry.kind('apiregistration.k8s.io', 'apiservices');
  }

  /** Brings the objects in line with the scheme; callers that come while it runs share the next run. */
  sync(): Promise<void> {
    if (this.#isDirty) return this.#running;
    this.#isDirty = true;
    this.#running = this.#running
      .catch(() => {})
      .then(() => {
        this.#isDirty = false;
        return this.#sync();
      });
    return this.#running;
  }

  /** Settles with the run that is under way. */
  stopped(): Promise<void> {
    return this.#running.catch(() => {});
  }

  async #sync(): Promise<void> {
    const { registry, scheme, delegates, log } = this.#options;
    const wanted = new Map<string, ApiServiceObject>();
    for (const each of localApiServices(scheme)) wanted.set(each.metadata.name as string, each);
    for (const { group, version, priorities } of delegates) {
      const made = localApiService(group, version, 'onstart', priorities);
      wanted.set(made.metadata.name as string, made);
    }
    const { items } = await registry.list(this.#kind, '', listParameters(new URLSearchParams()));
    const present = new Map(items.map(({ object }) => [object.metadata.name as string, object]));
    const request = { user: SERVER_USER, namespace: '', dryRun: false, warn() {} };
    const writes: Promise<unknown>[] = [];
    for (const [name, object] of wanted) {
      if (!present.has(name)) writes.push(registry.create(this.#kind, object as KubeObject, request));
    }
    for (const [name, { metadata }] of present) {
      // Only what was made for a CRD goes with it; everything else is somebody's own.
      if (wanted.has(name) || metadata.labels?.[AUTOMANAGED] !== 'true') continue;
      writes.push(registry.delete(this.#kind, name, { ...request, options: {} }));
    }
    for (const each of await Promise.allSettled(writes)) {
      if (each.status === 'fulfilled') continue;
      const { code } = ApiError.from(each.reason);
      if (code !== 404 && code !== 409) log.warn({ err: each.reason }, 'could not register an API');
    }
  }
}
