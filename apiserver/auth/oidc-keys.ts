// The public keys of an OpenID Connect provider: found by discovery at first use, kept, and fetched again when a token
// names a key that is not among them, at most once in ten seconds.
import type { KeyObject } from 'node:crypto';
import { request } from 'node:https';
import type { Clock } from '../../lib/clock.ts';
import { keyFromJwk } from './jws.ts';

/** GET of a URL, with that bearer token if there is one; rejects when the answer is not 200. */
export type Fetch = (url: string, token?: string) => Promise<string>;

const REFETCH_MS = 10_000;
const TIMEOUT_MS = 10_000;
const BODY_LIMIT_BYTES = 1024 * 1024;

interface KeySet {
  byId: ReadonlyMap<string, KeyObject>;
  all: readonly KeyObject[];
}

export class OidcKeys {
  #issuer: string;
  #discoveryUrl: string;
  #fetch: Fetch;
  #clock: Clock;
  #jwksUrl: string | undefined;
  #keys: KeySet | undefined;
  #fetchedMs = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;

  constructor(options: { issuer: string; discoveryUrl?: string; fetch: Fetch; clock: Clock }) {
    this.#issuer = options.issuer;
    this.#discoveryUrl =
      options.discoveryUrl || `${options.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    this.#fetch = options.fetch;
    this.#clock = options.clock;
  }

  /** Keys that may have signed a token with this key id; all of them for a token without one. Throws with the cause. */
  async candidates(keyId: string | undefined): Promise<readonly KeyObject[]> {
    const known = this.#select(keyId);
    if (known.length > 0) return known;
    if (this.#clock.monotonic() - this.#fetchedMs >= REFETCH_MS || this.#running) await this.#refresh();
    return this.#select(keyId);
  }

  #select(keyId: string | undefined): readonly KeyObject[] {
    if (!this.#keys) return [];
    if (keyId === undefined) return this.#keys.all;
    const found = this.#keys.byId.get(keyId);
    return found ? [found] : [];
  }

  /** Many tokens at once wait for one fetch. */
  #refresh(): Promise<void> {
    this.#running ??= this.#load().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #load(): Promise<void> {
    this.#fetchedMs = this.#clock.monotonic();
    this.#jwksUrl ??= await this.#discover();
    const { keys } = JSON.parse(await this.#fetch(this.#jwksUrl)) as { keys?: Record<string, unknown>[] };
    const byId = new Map<string, KeyObject>();
    const all: KeyObject[] = [];
    for (const jwk of keys ?? []) {
      const key = jwk.use === undefined || jwk.use === 'sig' ? keyFromJwk(jwk) : undefined;
      if (!key) continue;
      all.push(key);
      if (typeof jwk.kid === 'string') byId.set(jwk.kid, key);
    }
    this.#keys = { byId, all };
  }

  async #discover(): Promise<string> {
    const document = JSON.parse(await this.#fetch(this.#discoveryUrl)) as { issuer?: string; jwks_uri?: string };
    if (document.issuer !== this.#issuer) {
      throw new Error(
        `oidc: issuer URL provided to client (${JSON.stringify(this.#issuer)}) did not match the issuer URL returned by provider (${JSON.stringify(document.issuer ?? '')})`,
      );
    }
    if (!document.jwks_uri) throw new Error('oidc: the discovery document has no jwks_uri');
    return document.jwks_uri;
  }
}

/** HTTPS only; `caPem` in the place of the host's authorities. */
export function httpsFetch(caPem: string | undefined): Fetch {
  return (url, token) =>
    new Promise((resolve, reject) => {
      if (!url.startsWith('https://')) {
        reject(new Error(`${url}: only https is allowed`));
        return;
      }
      const headers = token ? { authorization: `Bearer ${token}` } : {};
      const sent = request(url, { ...(caPem && { ca: caPem }), timeout: TIMEOUT_MS, headers }, (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > BODY_LIMIT_BYTES) sent.destroy(new Error(`${url}: the answer is too large`));
          else chunks.push(chunk);
        });
        answer.on('error', reject);
        answer.on('end', () => {
          if (answer.statusCode === 200) resolve(Buffer.concat(chunks).toString('utf8'));
          else reject(new Error(`${url}: ${answer.statusCode} ${answer.statusMessage}`));
        });
      });
      sent.on('timeout', () => sent.destroy(new Error(`${url}: timed out`)));
      sent.on('error', reject);
      sent.end();
    });
}
