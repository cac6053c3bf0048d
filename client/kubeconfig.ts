// kubeconfig files, as kubectl reads them (https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/).
// Supported: merging of several files, contexts, inline data and files, tokens and token files.
// Refused with a clear error: exec and auth-provider plugins, basic auth, impersonation, proxies.
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import type { ClientConfig } from './port.ts';

export class KubeconfigError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'KubeconfigError';
  }
}

interface Cluster {
  server?: string;
  'certificate-authority'?: string;
  'certificate-authority-data'?: string;
  'insecure-skip-tls-verify'?: boolean;
  [unsupported: string]: unknown;
}

interface User {
  'client-certificate'?: string;
  'client-certificate-data'?: string;
  'client-key'?: string;
  'client-key-data'?: string;
  token?: string;
  tokenFile?: string;
  [unsupported: string]: unknown;
}

interface Context {
  cluster?: string;
  user?: string;
  namespace?: string;
}

interface File {
  clusters?: { name: string; cluster?: Cluster }[] | null;
  users?: { name: string; user?: User }[] | null;
  contexts?: { name: string; context?: Context }[] | null;
  'current-context'?: string;
}

export interface LoadKubeconfigOptions {
  /** An explicit path (`--kubeconfig`): the only file read, and it must be there. */
  path?: string;
  /** Overrides current-context. */
  context?: string;
  env: Readonly<Record<string, string | undefined>>;
  homeDir: string;
  userAgent: string;
}

export interface LoadedKubeconfig {
  config: ClientConfig;
  context: string;
  /** Of the context; `default` when it names none. */
  namespace: string;
}

const unsupportedOfUser = [
  'exec',
  'auth-provider',
  'username',
  'password',
  'as',
  'as-groups',
  'as-uid',
  'as-user-extra',
];
const unsupportedOfCluster = ['proxy-url', 'tls-server-name'];

/** Reads $KUBECONFIG's paths (merged: what is named first wins) or ~/.kube/config. Throws KubeconfigError. */
export function loadKubeconfig(options: LoadKubeconfigOptions): LoadedKubeconfig {
  const paths = options.path ? [options.path] : (options.env.KUBECONFIG?.split(':').filter(Boolean) ?? []);
  if (paths.length === 0) paths.push(join(options.homeDir, '.kube', 'config'));
  const clusters = new Map<string, Cluster>();
  const users = new Map<string, User>();
  const contexts = new Map<string, Context>();
  let current: string | undefined;
  let found = 0;
  for (const path of paths) {
    const file = readFile(path, options.path !== undefined);
    if (!file) continue;
    found++;
    const near = dirname(resolve(path));
    for (const { name, cluster } of file.clusters ?? [])
      if (!clusters.has(name)) clusters.set(name, withAbsolutePaths(cluster ?? {}, near));
    for (const { name, user } of file.users ?? [])
      if (!users.has(name)) users.set(name, withAbsolutePaths(user ?? {}, near));
    for (const { name, context } of file.contexts ?? []) if (!contexts.has(name)) contexts.set(name, context ?? {});
    current ??= file['current-context'] || undefined;
  }
  if (found === 0) throw new KubeconfigError(`no kubeconfig found (looked at ${paths.join(', ')})`);
  const contextName = options.context ?? current;
  if (!contextName) throw new KubeconfigError(`kubeconfig ${paths.join(':')} names no current-context`);
  const context = contexts.get(contextName);
  if (!context) throw new KubeconfigError(`kubeconfig has no context ${JSON.stringify(contextName)}`);
  const cluster = clusters.get(context.cluster ?? '');
  if (!cluster?.server)
    throw new KubeconfigError(
      `context ${JSON.stringify(contextName)}: no cluster ${JSON.stringify(context.cluster ?? '')} with a server`,
    );
  const user = context.user ? users.get(context.user) : {};
  if (!user)
    throw new KubeconfigError(`context ${JSON.stringify(contextName)}: no user ${JSON.stringify(context.user)}`);
  refuse(cluster, unsupportedOfCluster, `cluster ${JSON.stringify(context.cluster)}`);
  refuse(user, unsupportedOfUser, `user ${JSON.stringify(context.user)}`);
  const config: ClientConfig = { server: cluster.server.replace(/\/+$/, ''), userAgent: options.userAgent };
  const caPem = pem(cluster['certificate-authority-data'], cluster['certificate-authority']);
  if (caPem) config.caPem = caPem;
  Object.assign(config, credentialsOf(user));
  if (cluster['insecure-skip-tls-verify']) config.insecure = true;
  return { config, context: contextName, namespace: context.namespace || 'default' };
}

export type UserCredentials = Pick<ClientConfig, 'certificatePem' | 'keyPem' | 'token'>;

/** The users of one file, and whose the current context is. Throws KubeconfigError. */
export function loadKubeconfigUsers(path: string): {
  users: ReadonlyMap<string, UserCredentials>;
  current: string | undefined;
} {
  const file = readFile(path, true) as File;
  const users = new Map<string, UserCredentials>();
  for (const { name, user } of file.users ?? []) {
    const whole = withAbsolutePaths(user ?? {}, dirname(resolve(path)));
    refuse(whole, unsupportedOfUser, `user ${JSON.stringify(name)}`);
    if (!users.has(name)) users.set(name, credentialsOf(whole));
  }
  const context = file.contexts?.find((each) => each.name === file['current-context'])?.context;
  return { users, current: context?.user };
}

function credentialsOf(user: User): UserCredentials {
  const certificatePem = pem(user['client-certificate-data'], user['client-certificate']);
  const keyPem = pem(user['client-key-data'], user['client-key']);
  const token = user.tokenFile ? readText(user.tokenFile).trim() : user.token;
  return { ...(certificatePem && { certificatePem }), ...(keyPem && { keyPem }), ...(token && { token }) };
}

/** A kubeconfig with one cluster, user and context, everything inline. */
export function renderKubeconfig(
  config: ClientConfig,
  names: { cluster: string; user: string; namespace?: string },
): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const context = `${names.user}@${names.cluster}`;
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: names.cluster,
          cluster: {
            server: config.server,
            ...(config.caPem && { 'certificate-authority-data': base64(config.caPem) }),
            ...(config.insecure && { 'insecure-skip-tls-verify': true }),
          },
        },
      ],
      users: [
        {
          name: names.user,
          user: {
            ...(config.certificatePem && { 'client-certificate-data': base64(config.certificatePem) }),
            ...(config.keyPem && { 'client-key-data': base64(config.keyPem) }),
            ...(config.token && { token: config.token }),
          },
        },
      ],
      contexts: [
        {
          name: context,
          context: { cluster: names.cluster, user: names.user, ...(names.namespace && { namespace: names.namespace }) },
        },
      ],
      'current-context': context,
    },
    { lineWidth: 0 },
  );
}

function readFile(path: string, required: boolean): File | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (!required && (cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new KubeconfigError(`cannot read kubeconfig ${path}: ${(cause as Error).message}`, { cause });
  }
  let file: unknown;
  try {
    file = parse(text);
  } catch (cause) {
    throw new KubeconfigError(`kubeconfig ${path} is not YAML: ${(cause as Error).message}`, { cause });
  }
  if (file === null) return {};
  if (typeof file !== 'object' || Array.isArray(file)) throw new KubeconfigError(`kubeconfig ${path} is not a mapping`);
  return file as File;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KubeconfigError(`kubeconfig: cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}

const pem = (inline: string | undefined, path: string | undefined): string | undefined =>
  inline ? Buffer.from(inline, 'base64').toString('utf8') : path ? readText(path) : undefined;

const fileFields = ['certificate-authority', 'client-certificate', 'client-key', 'tokenFile'];

/** Relative paths are relative to the file they are written in. */
function withAbsolutePaths<T extends Record<string, unknown>>(entry: T, directory: string): T {
  const copy: Record<string, unknown> = { ...entry };
  for (const field of fileFields)
    if (typeof copy[field] === 'string' && copy[field] !== '') copy[field] = resolve(directory, copy[field]);
  return copy as T;
}

function refuse(entry: Record<string, unknown>, fields: readonly string[], what: string): void {
  for (const field of fields) {
    if (entry[field] !== undefined && entry[field] !== '')
      throw new KubeconfigError(`kubeconfig: ${what} uses ${field}, which is not supported`);
  }
}
