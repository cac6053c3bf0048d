// The files of secret, configMap, downwardAPI and projected volumes: from API objects to paths with contents.
import type {
  ConfigMap,
  DownwardAPIVolumeFile,
  KeyToPath,
  ProjectedVolumeSource,
  Secret,
  Volume,
} from '../../api/types/core-v1.ts';
import type { ObjectLookup } from '../containers/environment.ts';
import { fieldValue, type PodFieldFacts, resourceValue } from '../containers/field-ref.ts';
import type { FileContent, Payload } from './atomic-write.ts';

/** A volume cannot be filled (yet); the message is upstream's. */
export class VolumeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'VolumeError';
  }
}

export interface PayloadFacts {
  fields: PodFieldFacts;
  objects: ObjectLookup;
  /** A token of the pod's service account; cached and renewed by the caller. */
  token(request: { audience: string | undefined; expirationSeconds: number }): Promise<string>;
}

const DEFAULT_MODE = 0o644;

/** True for volumes whose content is a payload. */
export function hasPayload(volume: Volume): boolean {
  return !!(volume.secret || volume.configMap || volume.downwardAPI || volume.projected);
}

export async function payloadOf(facts: PayloadFacts, volume: Volume): Promise<Payload> {
  const namespace = facts.fields.pod.metadata.namespace ?? '';
  if (volume.secret) {
    const { secretName = '', items, optional, defaultMode } = volume.secret;
    return secretFiles(facts, namespace, secretName, items, optional, defaultMode);
  }
  if (volume.configMap) {
    const { name = '', items, optional, defaultMode } = volume.configMap;
    return configMapFiles(facts, namespace, name, items, optional, defaultMode);
  }
  if (volume.downwardAPI) return downwardFiles(facts, volume.downwardAPI.items ?? [], volume.downwardAPI.defaultMode);
  if (volume.projected) return projectedFiles(facts, namespace, volume.projected);
  return new Map();
}

async function projectedFiles(facts: PayloadFacts, namespace: string, source: ProjectedVolumeSource): Promise<Payload> {
  const mode = source.defaultMode;
  const result: Payload = new Map();
  const parts = await Promise.all(
    (source.sources ?? []).map(async (each): Promise<Payload> => {
      if (each.secret) {
        const { name = '', items, optional } = each.secret;
        return secretFiles(facts, namespace, name, items, optional, mode);
      }
      if (each.configMap) {
        const { name = '', items, optional } = each.configMap;
        return configMapFiles(facts, namespace, name, items, optional, mode);
      }
      if (each.downwardAPI) return downwardFiles(facts, each.downwardAPI.items ?? [], mode);
      if (each.serviceAccountToken) {
        const { path, audience, expirationSeconds = 3600 } = each.serviceAccountToken;
        const data = Buffer.from(await facts.token({ audience: audience || undefined, expirationSeconds }));
        return new Map([[path, tokenFile(facts, data, mode)]]);
      }
      const [kind] = Object.keys(each);
      throw new VolumeError(`projected source ${kind ?? '(empty)'} is not supported by this kubelet`);
    }),
  );
  for (const part of parts) for (const [path, content] of part) result.set(path, content);
  return result;
}

/** A token is readable by its user only: the one user of all containers, or through fsGroup, else as the mode says. */
function tokenFile(facts: PayloadFacts, data: Buffer, mode: number | undefined): FileContent {
  const spec = facts.fields.pod.spec;
  if (spec?.securityContext?.fsGroup !== undefined) return { data, mode: 0o600 };
  const users = new Set(
    [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].map(
      (each) => each.securityContext?.runAsUser ?? spec?.securityContext?.runAsUser,
    ),
  );
  const [user] = users;
  if (users.size === 1 && user !== undefined) return { data, mode: 0o600, uid: user };
  return { data, mode: mode ?? DEFAULT_MODE };
}

async function secretFiles(
  facts: PayloadFacts,
  namespace: string,
  name: string,
  items: KeyToPath[] | undefined,
  optional: boolean | undefined,
  defaultMode: number | undefined,
): Promise<Payload> {
  const secret: Secret | undefined = await facts.objects.secret(namespace, name);
  if (!secret && !optional) throw new VolumeError(`secret "${name}" not found`);
  const data = new Map(Object.entries(secret?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64')]));
  return pick(data, items, optional, defaultMode, 'references non-existent secret key');
}

async function configMapFiles(
  facts: PayloadFacts,
  namespace: string,
  name: string,
  items: KeyToPath[] | undefined,
  optional: boolean | undefined,
  defaultMode: number | undefined,
): Promise<Payload> {
  const map: ConfigMap | undefined = await facts.objects.configMap(namespace, name);
  if (!map && !optional) throw new VolumeError(`configmap "${name}" not found`);
  const data = new Map<string, Buffer>();
  for (const [key, value] of Object.entries(map?.data ?? {})) data.set(key, Buffer.from(value));
  for (const [key, value] of Object.entries(map?.binaryData ?? {})) data.set(key, Buffer.from(value, 'base64'));
  return pick(data, items, optional, defaultMode, 'references non-existent config key');
}

function pick(
  data: Map<string, Buffer>,
  items: KeyToPath[] | undefined,
  optional: boolean | undefined,
  defaultMode: number | undefined,
  complaint: string,
): Payload {
  const fallback = defaultMode ?? DEFAULT_MODE;
  if (!items || items.length === 0)
    return new Map([...data].map(([key, bytes]) => [key, { data: bytes, mode: fallback }]));
  const result: Payload = new Map();
  for (const item of items) {
    const bytes = data.get(item.key);
    if (bytes) result.set(item.path, { data: bytes, mode: item.mode ?? fallback });
    else if (!optional) throw new VolumeError(`${complaint}: ${item.key}`);
  }
  return result;
}

function downwardFiles(facts: PayloadFacts, items: DownwardAPIVolumeFile[], defaultMode: number | undefined): Payload {
  const result: Payload = new Map();
  for (const item of items) {
    const text = item.fieldRef
      ? fieldValue(facts.fields, item.fieldRef)
      : item.resourceFieldRef
        ? resourceValue(facts.fields, item.resourceFieldRef)
        : '';
    result.set(item.path, { data: Buffer.from(text), mode: item.mode ?? defaultMode ?? DEFAULT_MODE });
  }
  return result;
}
