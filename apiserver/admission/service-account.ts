// ServiceAccount: a pod runs as an account of its namespace, and gets that account's credentials mounted. Messages are
// upstream's (plugin/pkg/admission/serviceaccount).
import { errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Container, EphemeralContainer, Pod, ServiceAccount, Volume } from '../../api/types/core-v1.ts';
import { sleep } from '../../lib/abort.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import { podReferences } from '../auth/pod-references.ts';
import { generateName } from '../registry/create.ts';
import type { AdmissionPlugin, AdmissionRequest } from './chain.ts';
import type { Lookup } from './lookup.ts';

const MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';
const VOLUME_PREFIX = 'kube-api-access-';
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
const ENFORCE_ANNOTATION = 'kubernetes.io/enforce-mountable-secrets';
/** An hour, and seven seconds by which kubelets know this volume. */
const TOKEN_SECONDS = 3607;
const PODS = { group: '', resource: 'pods' };
const DEFAULT_NAME = 'default';
/** A new namespace gets its default account a moment later. */
const DEFAULT_TRIES = 10;
const RETRY_MS = 100;

type Account = ServiceAccount & KubeObject;

export function serviceAccountAdmission(
  lookup: Lookup,
  { clock, random }: { clock: Clock; random: Random },
): AdmissionPlugin {
  async function findAccount(request: AdmissionRequest, name: string): Promise<Account> {
    const { namespace } = request;
    for (let attempt = 1; ; attempt++) {
      const account = await lookup.find<Account>('', 'serviceaccounts', namespace, name);
      if (account) return account;
      if (name !== DEFAULT_NAME || attempt >= DEFAULT_TRIES) break;
      await sleep(clock, RETRY_MS * (1 + random()));
    }
    throw refuse(
      request,
      `error looking up service account ${namespace}/${name}: serviceaccount ${JSON.stringify(name)} not found`,
    );
  }

  return {
    name: 'ServiceAccount',
    handles: (kind, subresource, operation) =>
      kind.group === '' &&
      kind.resource === 'pods' &&
      (subresource === '' ? operation === 'CREATE' : subresource === 'ephemeralcontainers' && operation === 'UPDATE'),
    async mutate(request) {
      if (request.subresource !== '') return;
      const pod = request.object as Pod & KubeObject;
      const { spec } = pod;
      // A mirror of a static pod has no identity; what it may not refer to is refused below.
      if (!spec || isMirror(pod)) return;
      const name = spec.serviceAccountName || spec.serviceAccount || DEFAULT_NAME;
      spec.serviceAccountName = name;
      spec.serviceAccount = name;
      const account = await findAccount(request, name);
      if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(pod, random);
      if (!spec.imagePullSecrets?.length && account.imagePullSecrets?.length) {
        spec.imagePullSecrets = account.imagePullSecrets.map((each) => ({ ...each }));
      }
    },
    async validate(request) {
      const pod = request.object as Pod & KubeObject;
      if (isMirror(pod)) return request.subresource === '' ? refuseInMirror(request, pod) : undefined;
      const name = pod.spec?.serviceAccountName;
      if (!name) {
        throw refuse(request, `no service account specified for pod ${request.namespace}/${pod.metadata.name ?? ''}`);
      }
      const account = await findAccount(request, name);
      if (!isTrue(account.metadata.annotations?.[ENFORCE_ANNOTATION])) return;
      const why = unmountable(pod, account, request.subresource === 'ephemeralcontainers');
      if (why) throw refuse(request, why);
    },
  };
}

const refuse = ({ name }: AdmissionRequest, why: string) => errors.forbidden(PODS, name, why);

const isMirror = (pod: KubeObject) => pod.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined;

/** As Go reads a boolean. */
const isTrue = (text: string | undefined) => text !== undefined && /^(1|t|T|TRUE|true|True)$/.test(text);

function refuseInMirror(request: AdmissionRequest, pod: Pod & KubeObject): void {
  if (pod.spec?.serviceAccountName) throw refuse(request, 'a mirror pod may not reference service accounts');
  if (podReferences(pod).some((each) => each.startsWith('secrets/'))) {
    throw refuse(request, 'a mirror pod may not reference secrets');
  }
  for (const volume of pod.spec?.volumes ?? []) {
    if (volume.projected?.sources?.some((source) => source.serviceAccountToken)) {
      throw refuse(request, 'a mirror pod may not use ServiceAccountToken volume projections');
    }
  }
}

/** The first secret of the pod that an account with the annotation does not list; undefined when there is none. */
function unmountable(pod: Pod, account: Account, onlyEphemeral: boolean): string | undefined {
  const mountable = new Set((account.secrets ?? []).map((each) => each.name));
  const because = `is not allowed because service account ${account.metadata.name} does not reference that`;
  const inContainers = (containers: readonly (Container | EphemeralContainer)[] | undefined, what: string) => {
    for (const { name, env = [], envFrom = [] } of containers ?? []) {
      for (const each of env) {
        const secret = each.valueFrom?.secretKeyRef?.name;
        if (secret === undefined || mountable.has(secret)) continue;
        return `${what} ${name} with envVar ${each.name} referencing secret.secretName="${secret}" ${because} secret`;
      }
      for (const each of envFrom) {
        const secret = each.secretRef?.name;
        if (secret === undefined || mountable.has(secret)) continue;
        return `${what} ${name} with envFrom referencing secret.secretName="${secret}" ${because} secret`;
      }
    }
    return undefined;
  };
  const { spec = { containers: [] } } = pod;
  if (onlyEphemeral) return inContainers(spec.ephemeralContainers, 'ephemeral container');
  for (const { secret } of spec.volumes ?? []) {
    if (!secret || mountable.has(secret.secretName)) continue;
    return `volume with secret.secretName="${secret.secretName}" ${because} secret`;
  }
  const found = inContainers(spec.initContainers, 'init container') ?? inContainers(spec.containers, 'container');
  if (found) return found;
  const pullable = new Set((account.imagePullSecrets ?? []).map((each) => each.name));
  for (const [i, { name }] of (spec.imagePullSecrets ?? []).entries()) {
    if (!pullable.has(name)) return `imagePullSecrets[${i}].name="${name}" ${because} imagePullSecret`;
  }
  return undefined;
}

/** Adds the volume and a mount to every container that has none at that path yet. */
function mountToken(pod: Pod, random: Random): void {
  const spec = pod.spec as NonNullable<Pod['spec']>;
  const volumes = (spec.volumes ??= []);
  const existing = volumes.find((each) => each.name.startsWith(VOLUME_PREFIX));
  const name = existing?.name ?? generateName(VOLUME_PREFIX, random);
  let needed = false;
  const containers: Container[] = [...(spec.initContainers ?? []), ...spec.containers];
  for (const container of containers) {
    const mounts = (container.volumeMounts ??= []);
    if (mounts.some((each) => each.mountPath === MOUNT_PATH)) continue;
    mounts.push({ name, readOnly: true, mountPath: MOUNT_PATH });
    needed = true;
  }
  if (needed && !existing) volumes.push(tokenVolume(name));
}

function tokenVolume(name: string): Volume {
  return {
    name,
    projected: {
      sources: [
        { serviceAccountToken: { expirationSeconds: TOKEN_SECONDS, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
          },
        },
      ],
      defaultMode: 0o644,
    },
  };
}
