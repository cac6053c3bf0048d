// Documents that follow from the scheme alone: rendered when first asked for, again when the scheme has changed, and
// answered 304 to whoever has them already.
import { createHash } from 'node:crypto';
import type { Scheme } from '../../api/scheme.ts';
import type { Exchange } from './exchange.ts';

export interface CachedDocument {
  bytes: Buffer;
  /** Quoted, as in the header. */
  etag: string;
}

export class CachedDocuments {
  #scheme: Scheme;
  #revision = -1;
  #byName = new Map<string, CachedDocument>();

  constructor(scheme: Scheme) {
    this.#scheme = scheme;
  }

  get(name: string, render: () => Buffer): CachedDocument {
    if (this.#revision !== this.#scheme.revision) {
      this.#byName.clear();
      this.#revision = this.#scheme.revision;
    }
    let found = this.#byName.get(name);
    if (!found) {
      const bytes = render();
      const hash = createHash('sha512').update(bytes).digest('hex').toUpperCase();
      found = { bytes, etag: `"${hash}"` };
      this.#byName.set(name, found);
    }
    return found;
  }
}

export async function sendDocument(
  exchange: Exchange,
  document: CachedDocument,
  type: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const all = { ...headers, etag: document.etag };
  const asked = exchange.header('if-none-match');
  if (asked !== undefined && (asked === '*' || asked.includes(document.etag))) {
    exchange.sendNotModified(all);
    return;
  }
  await exchange.sendJson(200, document.bytes, type, all);
}
