// Admission: plugins in order, first all that change an object, later (after validation) all that only judge it.
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Identity } from '../auth/identity.ts';

export interface AdmissionRequest {
  operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  kind: Kind;
  subresource: string;
  namespace: string;
  /** Empty while a name is still to be generated. */
  name: string;
  /** Undefined for DELETE and CONNECT. Plugins change it in place, in `mutate` only. */
  object: KubeObject | undefined;
  /** Undefined for CREATE. Shared: never mutated. */
  old: KubeObject | undefined;
  user: Identity;
  dryRun: boolean;
  warn(text: string): void;
}

export interface AdmissionPlugin {
  name: string;
  /** Throws ApiError to refuse. */
  mutate?(request: AdmissionRequest): void | Promise<void>;
  validate?(request: AdmissionRequest): void | Promise<void>;
}

export class AdmissionChain {
  #mutating: AdmissionPlugin[] = [];
  #validating: AdmissionPlugin[] = [];

  constructor(plugins: readonly AdmissionPlugin[] = []) {
    this.use(plugins);
  }

  /** Adds plugins after those that are there. */
  use(plugins: readonly AdmissionPlugin[]): void {
    this.#mutating.push(...plugins.filter((each) => each.mutate));
    this.#validating.push(...plugins.filter((each) => each.validate));
  }

  async mutate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#mutating) {
      const done = plugin.mutate?.(request);
      // Most plugins decide at once; awaiting nothing would cost every write a turn of the loop.
      if (done) await done;
    }
  }

  async validate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#validating) {
      const done = plugin.validate?.(request);
      if (done) await done;
    }
  }
}
