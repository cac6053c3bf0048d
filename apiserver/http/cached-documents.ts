// Documents that follow from something with a revision: rendered when first asked for, again when the revision is another,
// and answered 304 to whoever has them already.
import { createHash } from 'node:crypto';
import type { Exchange } from './exchange.ts';

export interface CachedDocument {
  bytes: Buffer;
  /** Quoted, as in the header. */
  etag: string;
}

export class CachedDocuments {
  #current: () => string | number;
  #revision: string | number = -1;
  #byName = new Map<string, CachedDocument>();

  constructor(revision: () => string | number) {
    this.#current = revision;
  }

  get(name: string, render: () => Buffer): CachedDocument {
    const current = this.#current();
    if (this.#revision !== current) {
      this.#byName.clear();
      this.#revision = current;
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
