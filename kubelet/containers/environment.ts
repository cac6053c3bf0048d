// A container's environment: services, then envFrom, then env, later ones winning and seeing earlier ones by $(NAME).
// What cannot be resolved is a ConfigError: the container waits with CreateContainerConfigError.
import type { ConfigMap, Container, FileKeySelector, Secret, Service } from '../../api/types/core-v1.ts';
import { envFileValue } from './env-file.ts';
import { expand } from './expansion.ts';
import { fieldValue, type PodFieldFacts, resourceValue } from './field-ref.ts';
import { serviceEnvironment } from './service-env.ts';

/** The spec asks for something that is not there (yet); the message is the waiting state's. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

/** Fetches a referenced object; undefined when it does not exist. */
export interface ObjectLookup {
  secret(namespace: string, name: string): Promise<Secret | undefined>;
  configMap(namespace: string, name: string): Promise<ConfigMap | undefined>;
}

export interface EnvironmentFacts extends PodFieldFacts {
  services: readonly Service[];
  objects: ObjectLookup;
  /** The text of a file in a volume of the pod; undefined when it is not there. */
  volumeFile(volume: string, path: string): string | undefined;
}

const decode = (base64: string) => Buffer.from(base64, 'base64').toString('utf8');

/** Names in the order in which they were set. */
export async function environmentOf(facts: EnvironmentFacts, container: Container): Promise<Map<string, string>> {
  const { pod } = facts;
  const namespace = pod.metadata.namespace ?? '';
  const links = serviceEnvironment(facts.services, namespace, pod.spec?.enableServiceLinks ?? true);
  const result = new Map<string, string>();

  for (const source of container.envFrom ?? []) {
    const entries = await valuesOf(facts, namespace, source);
    for (const [key, value] of entries) result.set(`${source.prefix ?? ''}${key}`, value);
  }

  const visible = (name: string) => own.get(name) ?? links.get(name);
  const own = new Map(result);
  for (const variable of container.env ?? []) {
    const from = variable.valueFrom;
    let value: string | undefined;
    if (!from) value = expand(variable.value ?? '', visible);
    else if (from.fieldRef) value = configError(() => fieldValue(facts, from.fieldRef as never));
    else if (from.resourceFieldRef) {
      value = configError(() => resourceValue(facts, from.resourceFieldRef as never, container));
    } else if (from.secretKeyRef) {
      const { name = '', key, optional } = from.secretKeyRef;
      value = await keyOf(facts, 'secret', namespace, name, key, optional);
    } else if (from.configMapKeyRef) {
      const { name = '', key, optional } = from.configMapKeyRef;
      value = await keyOf(facts, 'configmap', namespace, name, key, optional);
    } else if (from.fileKeyRef) {
      const { fileKeyRef } = from;
      value = configError(() => fileKeyOf(facts, fileKeyRef));
    }
    if (value === undefined) continue;
    own.set(variable.name, value);
    result.set(variable.name, value);
  }
  for (const [name, value] of links) if (!result.has(name)) result.set(name, value);
  return result;
}

function fileKeyOf(facts: EnvironmentFacts, ref: FileKeySelector): string | undefined {
  const { volumeName, path, key, optional } = ref;
  const text = facts.volumeFile(volumeName, path);
  let value: string | undefined;
  try {
    value = text === undefined ? undefined : envFileValue(text, key);
  } catch (error) {
    throw new Error(`couldn't parse env file: ${(error as Error).message}`, { cause: error });
  }
  if (value !== undefined || optional) return value;
  if (text === undefined) throw new Error(`environment variable file "${path}" not found in volume "${volumeName}"`);
  throw new Error(`environment variable key "${key}" not found in file "${path}"`);
}

function configError<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ConfigError((error as Error).message);
  }
}

async function valuesOf(
  facts: EnvironmentFacts,
  namespace: string,
  source: NonNullable<Container['envFrom']>[number],
): Promise<[string, string][]> {
  if (source.configMapRef) {
    const { name = '', optional } = source.configMapRef;
    const map = await facts.objects.configMap(namespace, name);
    if (!map && !optional) throw new ConfigError(`configmap "${name}" not found`);
    return Object.entries(map?.data ?? {});
  }
  if (source.secretRef) {
    const { name = '', optional } = source.secretRef;
    const secret = await facts.objects.secret(namespace, name);
    if (!secret && !optional) throw new ConfigError(`secret "${name}" not found`);
    return Object.entries(secret?.data ?? {}).map(([key, value]) => [key, decode(value)]);
  }
  return [];
}

async function keyOf(
  facts: EnvironmentFacts,
  kind: 'secret' | 'configmap',
  namespace: string,
  name: string,
  key: string,
  optional: boolean | undefined,
): Promise<string | undefined> {
  const object =
    kind === 'secret' ? await facts.objects.secret(namespace, name) : await facts.objects.configMap(namespace, name);
  if (!object) {
    if (optional) return undefined;
    throw new ConfigError(`${kind} "${name}" not found`);
  }
  const value = object.data?.[key];
  if (value !== undefined) return kind === 'secret' ? decode(value) : value;
  if (optional) return undefined;
  const title = kind === 'secret' ? 'Secret' : 'ConfigMap';
  throw new ConfigError(`couldn't find key ${key} in ${title} ${namespace}/${name}`);
}
