// EncryptionConfiguration (apiserver.config.k8s.io/v1): which resources are encrypted, by which providers and keys. Pure.
// What it does not know it refuses: a mistake here would store secrets in the clear, or make them unreadable.
import { parseYamlDocuments } from '../../../api/yaml.ts';
import type { Kind } from '../../../api/kind.ts';
import { parseGoDuration } from '../../http/deadline.ts';
import { prefixOfKey, resourcePrefix, ROOT } from '../keys.ts';
import type { KmsProvider } from './kms.ts';
import { createTransformer, type Provider, type Transformer } from './transformer.ts';

export interface EncryptionRules {
  /** Undefined: the values of that key are stored as they are. */
  transformerOf(storeKey: string): Transformer | undefined;
  /** True when values under that prefix may be encrypted. */
  covers(prefix: string): boolean;
  /** The key management services that are named, to be started by who uses the rules. */
  kms?: readonly KmsProvider[];
}

export interface KmsConfig {
  name: string;
  /** The plugin's socket. */
  socket: string;
  timeoutMs: number;
}

/** Makes providers; each configuration has its own. Default: none can be made. */
export type ConnectKms = (config: KmsConfig) => KmsProvider;

/** Throws an Error that names the field. `kinds`: the built-in ones, to know group and resource of a key. */
export function parseEncryptionConfiguration(
  text: string,
  kinds: readonly Kind[],
  connect?: ConnectKms,
): EncryptionRules {
  const root = record(parseText(text), 'the configuration', ['apiVersion', 'kind', 'resources']);
  if (root['kind'] !== 'EncryptionConfiguration' || root['apiVersion'] !== 'apiserver.config.k8s.io/v1') {
    throw new Error('expected kind EncryptionConfiguration of apiserver.config.k8s.io/v1');
  }
  const kms = new Map<string, { config: string; provider: KmsProvider }>();
  /** One provider for each name, however many resources name it. */
  const connectOnce = (config: KmsConfig, path: string): KmsProvider => {
    if (!connect) throw new Error(`${path}: key management services are not supported here`);
    const known = kms.get(config.name);
    const text = JSON.stringify(config);
    if (known && known.config !== text)
      throw new Error(`${path}.name: duplicate value: ${JSON.stringify(config.name)}`);
    const provider = known?.provider ?? connect(config);
    kms.set(config.name, { config: text, provider });
    return provider;
  };
  const entries = list(root['resources'], 'resources').map((each, i) =>
    parseEntry(each, `resources[${i}]`, connectOnce),
  );
  const byPrefix = new Map<string, { group: string; resource: string }>();
  for (const kind of kinds) {
    const prefix = resourcePrefix(kind);
    // Events are stored in one place whichever group they come from: the core group names them.
    if (!byPrefix.has(prefix) || kind.group === '') byPrefix.set(prefix, kind);
  }
  // Filled on first use: the number of resources is bounded by the scheme.
  const known = new Map<string, Transformer | undefined>();
  function transformerOf(storeKey: string): Transformer | undefined {
    const prefix = prefixOfKey(storeKey);
    if (known.has(prefix)) return known.get(prefix);
    const resource = byPrefix.get(prefix) ?? customResource(prefix);
    const entry = resource && entries.find((each) => each.patterns.some((pattern) => matches(pattern, resource)));
    const found = entry?.isPlain ? undefined : entry?.transformer;
    if (known.size < 10_000) known.set(prefix, found);
    return found;
  }
  return {
    transformerOf,
    covers: (prefix) => transformerOf(prefix) !== undefined,
    ...(kms.size > 0 && { kms: [...kms.values()].map((each) => each.provider) }),
  };
}

/** YAML; what is JSON below its comments, as the file that we write ourselves, is spared the slower parser at every start. */
function parseText(text: string): unknown {
  const body = text.replace(/^(?:#.*\n|\s)*/, '');
  if (body.startsWith('{')) {
    try {
      return JSON.parse(body);
    } catch {
      // Flow style, or a mistake: the parser of YAML says which.
    }
  }
  const documents = parseYamlDocuments(text);
  if (documents.length !== 1) throw new Error('expected one EncryptionConfiguration');
  return documents[0]?.value;
}

interface Entry {
  patterns: { group: string; resource: string }[];
  transformer: Transformer;
  /** Identity alone: neither written nor expected to be read encrypted. */
  isPlain: boolean;
}

/** `secrets`, `widgets.example.com`, `*.apps`, `*.` (the core group), `*.*`. */
function parseEntry(value: unknown, path: string, connect: Connect): Entry {
  const fields = record(value, path, ['resources', 'providers']);
  const patterns = list(fields['resources'], `${path}.resources`).map((each, i) => {
    if (typeof each !== 'string' || each === '') throw new Error(`${path}.resources[${i}]: must be a resource`);
    if (each === '*') throw new Error(`${path}.resources[${i}]: use '*.' for the core group or '*.*' for all`);
    const dot = each.indexOf('.');
    const resource = dot < 0 ? each : each.slice(0, dot);
    const group = dot < 0 ? '' : each.slice(dot + 1);
    if (resource !== resource.toLowerCase() || resource.includes('/')) {
      throw new Error(`${path}.resources[${i}]: ${JSON.stringify(each)} is not a resource in lower case`);
    }
    return { group, resource };
  });
  const providers = list(fields['providers'], `${path}.providers`).map((each, i) =>
    parseProvider(each, `${path}.providers[${i}]`, connect),
  );
  return {
    patterns,
    transformer: createTransformer(providers),
    isPlain: providers.every((each) => each.kind === 'identity'),
  };
}

const SIZES: Record<string, readonly number[]> = { aescbc: [16, 24, 32], aesgcm: [16, 24, 32], secretbox: [32] };

type Connect = (config: KmsConfig, path: string) => KmsProvider;

function parseProvider(value: unknown, path: string, connect: Connect): Provider {
  const fields = record(value, path, ['aescbc', 'aesgcm', 'secretbox', 'identity', 'kms']);
  const names = Object.keys(fields);
  if (names.length !== 1) throw new Error(`${path}: must name exactly one provider`);
  const kind = names[0] as string;
  if (kind === 'kms') {
    const config = parseKms(fields[kind], `${path}.kms`);
    return { kind, provider: connect(config, `${path}.kms`) };
  }
  if (kind === 'identity') {
    record(fields[kind] ?? {}, `${path}.identity`, []);
    return { kind };
  }
  const seen = new Set<string>();
  const keys = list(record(fields[kind], `${path}.${kind}`, ['keys'])['keys'], `${path}.${kind}.keys`).map(
    (each, i) => {
      const at = `${path}.${kind}.keys[${i}]`;
      const { name, secret } = record(each, at, ['name', 'secret']);
      if (typeof name !== 'string' || name === '' || name.includes(':')) throw new Error(`${at}.name: must be a name`);
      if (seen.has(name)) throw new Error(`${at}.name: duplicate value: ${JSON.stringify(name)}`);
      seen.add(name);
      const bytes = typeof secret === 'string' ? Buffer.from(secret, 'base64') : Buffer.alloc(0);
      const sizes = SIZES[kind] as readonly number[];
      // Never the value itself: it is a secret.
      if (!sizes.includes(bytes.length)) {
        throw new Error(`${at}.secret: must be base64 of ${sizes.join(', ')} bytes, has ${bytes.length}`);
      }
      return { name, secret: bytes };
    },
  );
  return { kind: kind as 'aescbc' | 'aesgcm' | 'secretbox', keys };
}

const KMS_TIMEOUT_MS = 3_000;

function parseKms(value: unknown, path: string): KmsConfig {
  const fields = record(value, path, ['apiVersion', 'name', 'cachesize', 'endpoint', 'timeout']);
  const { apiVersion = 'v1', name, endpoint, timeout } = fields;
  if (apiVersion === 'v1') {
    throw new Error(
      `${path}.apiVersion: Invalid value: "v1": KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead (apiVersion: v2).`,
    );
  }
  if (apiVersion !== 'v2') {
    throw new Error(
      `${path}.apiVersion: Invalid value: ${JSON.stringify(apiVersion)}: unsupported apiVersion apiVersion, only v2 is supported`,
    );
  }
  if (typeof name !== 'string' || name === '') throw new Error(`${path}.name: Required value: must specify a name`);
  if (name.includes(':')) {
    throw new Error(`${path}.name: Invalid value: ${JSON.stringify(name)}: kms provider name must not contain ':'`);
  }
  if (fields['cachesize'] !== undefined) {
    throw new Error(
      `${path}.cachesize: Invalid value: ${JSON.stringify(fields['cachesize'])}: cachesize is not supported in v2`,
    );
  }
  if (typeof endpoint !== 'string' || endpoint === '') {
    throw new Error(`${path}.endpoint: Invalid value: "": must specify a value`);
  }
  const socket = /^unix:\/\/(\/.+|\/@.+|@.+)$/.exec(endpoint)?.[1];
  if (!socket) {
    throw new Error(
      `${path}.endpoint: Invalid value: ${JSON.stringify(endpoint)}: unsupported scheme or path, want unix:///PATH`,
    );
  }
  const timeoutMs = timeout === undefined ? KMS_TIMEOUT_MS : typeof timeout === 'string' ? parseGoDuration(timeout) : 0;
  if (typeof timeoutMs === 'string' || timeoutMs <= 0) {
    throw new Error(`${path}.timeout: Invalid value: ${JSON.stringify(timeout)}: should be a positive value`);
  }
  return { name, socket: socket.replace(/^\/@/, '@'), timeoutMs };
}

const matches = (pattern: { group: string; resource: string }, one: { group: string; resource: string }) =>
  (pattern.resource === '*' || pattern.resource === one.resource) &&
  (pattern.group === one.group || (pattern.group === '*' && pattern.resource === '*'));

/** `/registry/example.com/widgets/`: custom resources carry their group in the key. */
function customResource(prefix: string): { group: string; resource: string } | undefined {
  const [group = '', resource = ''] = prefix.slice(ROOT.length).split('/');
  return group.includes('.') && resource !== '' ? { group, resource } : undefined;
}

function record(value: unknown, path: string, allowed: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${path}: must be an object`);
  const unknown = Object.keys(value).find((each) => !allowed.includes(each));
  if (unknown !== undefined) throw new Error(`${path}: unknown field ${JSON.stringify(unknown)}`);
  return value as Record<string, unknown>;
}

function list(value: unknown, path: string): unknown[] {
  if (!Array.isArray(value) || value.length === 0) throw new Error(`${path}: must list at least one`);
  return value;
}
