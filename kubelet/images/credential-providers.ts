// Programs of this node that know credentials of registries (credentialprovider.kubelet.k8s.io/v1): run for images that they are configured
// for, their answers kept as long as they say (https://kubernetes.io/docs/tasks/administer-cluster/kubelet-credential-provider/).
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { AuthConfig } from '../../proto/cri-types.ts';
import { durationMs } from '../config.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { matchesImage, repositoryOf } from './credentials.ts';

const API_VERSION = 'credentialprovider.kubelet.k8s.io/v1';
const TIMEOUT_MS = 60_000;

export interface CredentialProvider {
  /** Of the program below the directory of providers. */
  name: string;
  matchImages: string[];
  defaultCacheMs: number;
  args: string[];
  env: Record<string, string>;
}

/** Throws with the field that is wrong. `document` is what the file holds. */
export function readCredentialProviders(document: unknown): CredentialProvider[] {
  const { apiVersion, kind, providers, ...rest } = asMap(document, 'the file');
  if (kind !== 'CredentialProviderConfig' || apiVersion !== 'kubelet.config.k8s.io/v1')
    throw new Error('the file does not hold a kubelet.config.k8s.io/v1 CredentialProviderConfig');
  for (const key of Object.keys(rest)) throw new Error(`${key}: is not known`);
  if (!Array.isArray(providers) || providers.length === 0) throw new Error('providers: at least 1 item required');
  const found = providers.map((each, index) => readProvider(asMap(each, `providers[${index}]`), `providers[${index}]`));
  const twice = found.find(({ name }, index) => found.findIndex((each) => each.name === name) !== index);
  if (twice) throw new Error(`providers: name ${JSON.stringify(twice.name)} is there twice`);
  return found;
}

function readProvider(given: Record<string, unknown>, field: string): CredentialProvider {
  const { name, matchImages, defaultCacheDuration, apiVersion, args = [], env = [], ...rest } = given;
  for (const key of Object.keys(rest)) throw new Error(`${field}.${key}: is not supported by this kubelet`);
  if (typeof name !== 'string' || name === '') throw new Error(`${field}.name: name is required`);
  if (/[/\s]/.test(name) || name === '.' || name === '..')
    throw new Error(`${field}.name: ${JSON.stringify(name)} is not the name of a file`);
  if (apiVersion !== API_VERSION)
    throw new Error(`${field}.apiVersion: ${JSON.stringify(apiVersion)} is not supported; supported: "${API_VERSION}"`);
  const images = asStrings(matchImages, `${field}.matchImages`);
  if (images.length === 0) throw new Error(`${field}.matchImages: at least 1 item required`);
  if (defaultCacheDuration === undefined) throw new Error(`${field}.defaultCacheDuration: is required`);
  return {
    name,
    matchImages: images,
    defaultCacheMs: durationMs(defaultCacheDuration, `${field}.defaultCacheDuration`),
    args: asStrings(args, `${field}.args`),
    env: Object.fromEntries(
      (Array.isArray(env) ? env : []).map((each: { name?: unknown; value?: unknown }) => [
        String(each.name),
        String(each.value ?? ''),
      ]),
    ),
  };
}

const asMap = (value: unknown, field: string): Record<string, unknown> => {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Error(`${field}: is not a map`);
  return value as Record<string, unknown>;
};

const asStrings = (value: unknown, field: string): string[] => {
  if (!Array.isArray(value) || value.some((each) => typeof each !== 'string'))
    throw new Error(`${field}: is not a list of texts`);
  return value as string[];
};

interface Answer {
  apiVersion?: string;
  kind?: string;
  cacheKeyType?: string;
  cacheDuration?: string;
  auth?: Record<string, { username?: string; password?: string }> | null;
}

export class CredentialProviders {
  #options: { providers: readonly CredentialProvider[]; binDir: string; clock: Clock; log: Logger };
  #cache = new Map<string, { untilMs: number; auth: Answer['auth'] }>();
  #running = new Map<string, Promise<Answer['auth']>>();

  /** Throws when a program is not there. */
  constructor(options: { providers: readonly CredentialProvider[]; binDir: string; clock: Clock; log: Logger }) {
    this.#options = options;
    for (const { name } of options.providers) {
      const path = join(options.binDir, name);
      if (!existsSync(path)) throw new Error(`plugin binary executable ${path} did not exist`);
    }
  }

  /** What the providers of the image say, the most specific first. A provider that fails is as one that knows nothing. */
  async credentialsFor(image: string): Promise<AuthConfig[]> {
    const repository = repositoryOf(image);
    const wanted = this.#options.providers.filter((each) =>
      each.matchImages.some((pattern) => matchesImage(pattern, repository)),
    );
    const answers = await Promise.all(wanted.map((each) => this.#ask(each, image, repository)));
    return answers
      .flatMap((auth) => Object.entries(auth ?? {}))
      .filter(([pattern]) => matchesImage(pattern, repository))
      .sort(([a], [b]) => b.length - a.length)
      .map(([serverAddress, { username = '', password = '' }]) => ({ username, password, serverAddress }));
  }

  async #ask(provider: CredentialProvider, image: string, repository: string): Promise<Answer['auth']> {
    const { clock, log } = this.#options;
    const registry = repository.split('/')[0] ?? '';
    for (const key of [image, registry, '']) {
      const known = this.#cache.get(`${provider.name} ${key}`);
      if (known && clock.monotonic() < known.untilMs) return known.auth;
    }
    const running = `${provider.name} ${image}`;
    let asked = this.#running.get(running);
    if (!asked) {
      asked = this.#run(provider, image)
        .then((answer) => this.#keep(provider, answer, { Image: image, Registry: registry, Global: '' }))
        .catch((err: unknown) => {
          log.warn({ err, provider: provider.name, image }, 'a credential provider failed');
          return null;
        })
        .finally(() => this.#running.delete(running));
      this.#running.set(running, asked);
    }
    return asked;
  }

  #keep(provider: CredentialProvider, answer: Answer, keys: Record<string, string>): Answer['auth'] {
    const { apiVersion, kind, cacheKeyType = '', cacheDuration, auth } = answer;
    if (apiVersion !== API_VERSION || kind !== 'CredentialProviderResponse')
      throw new Error(`the answer is not a ${API_VERSION} CredentialProviderResponse`);
    const key = Object.hasOwn(keys, cacheKeyType) ? keys[cacheKeyType] : undefined;
    if (key === undefined)
      throw new Error(`credential provider plugin did not return a valid cacheKeyType: "${cacheKeyType}"`);
    const keptMs = cacheDuration === undefined ? provider.defaultCacheMs : durationMs(cacheDuration, 'cacheDuration');
    const { clock } = this.#options;
    if (keptMs > 0) {
      for (const [name, { untilMs }] of this.#cache) if (untilMs <= clock.monotonic()) this.#cache.delete(name);
      this.#cache.set(`${provider.name} ${key}`, { untilMs: clock.monotonic() + keptMs, auth });
    }
    return auth;
  }

  #run({ name, args, env }: CredentialProvider, image: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const options = { timeout: TIMEOUT_MS, maxBuffer: 2 ** 20, env: { ...process.env, ...env } };
      const child = execFile(join(this.#options.binDir, name), args, options, (error, stdout, stderr) => {
        // What it printed may hold a password: only its complaint is told.
        if (error)
          return reject(
            new Error(
              `error execing credential provider plugin ${name} for image ${image}: ${stderr.trim() || 'it failed'}`,
            ),
          );
        try {
          resolve(JSON.parse(stdout) as Answer);
        } catch {
          reject(new Error(`the answer of credential provider plugin ${name} is not JSON`));
        }
      });
      child.stdin?.on('error', () => {});
      child.stdin?.end(JSON.stringify({ kind: 'CredentialProviderRequest', apiVersion: API_VERSION, image }));
    });
  }
}
