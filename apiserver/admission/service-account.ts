// ServiceAccount: a pod runs as an account of its namespace, and gets that account's credentials mounted.
import { errors } from '../../api/errors.ts';
import type { Container, Pod, ServiceAccount, Volume } from '../../api/types/core-v1.ts';
import type { Random } from '../../lib/clock.ts';
import { generateName } from '../registry/create.ts';
import type { AdmissionPlugin } from './chain.ts';

const MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';
const VOLUME_PREFIX = 'kube-api-access-';
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
/** An hour, and seven seconds by which kubelets know this volume. */
const TOKEN_SECONDS = 3607;
const PODS = { group: '', resource: 'pods' };

/** `find`: the account in the newest state. */
export function serviceAccountAdmission(
  find: (namespace: string, name: string) => Promise<ServiceAccount | undefined>,
  random: Random,
): AdmissionPlugin {
  return {
    name: 'ServiceAccount',
    async mutate({ operation, kind, subresource, namespace, object }) {
      if (operation !== 'CREATE' || kind.kind !== 'Pod' || kind.group !== '' || subresource !== '') return;
      const pod = object as Pod;
      // A mirror of a static pod has no identity; what it may not refer to is refused below.
      if (pod.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined) return refuseInMirror(pod);
      const spec = pod.spec;
      if (!spec) return;
      const name = spec.serviceAccountName || spec.serviceAccount || 'default';
      spec.serviceAccountName = name;
      spec.serviceAccount = name;
      const account = await find(namespace, name);
      if (!account) {
        throw errors.forbidden(
          PODS,
          pod.metadata.name ?? '',
          `error looking up service account ${namespace}/${name}: serviceaccount ${JSON.stringify(name)} not found`,
        );
      }
      if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(pod, random);
      if (!spec.imagePullSecrets?.length && account.imagePullSecrets?.length) {
        spec.imagePullSecrets = account.imagePullSecrets.map((each) => ({ ...each }));
      }
    },
  };
}

function refuseInMirror(pod: Pod): void {
  const refuse = (why: string) => errors.forbidden(PODS, pod.metadata.name ?? '', why);
  if (pod.spec?.serviceAccountName) throw refuse('a mirror pod may not reference service accounts');
  for (const volume of pod.spec?.volumes ?? []) {
    if (volume.secret) throw refuse('a mirror pod may not reference secrets');
    if (volume.persistentVolumeClaim) throw refuse('a mirror pod may not reference persistentvolumeclaims');
    if (volume.projected?.sources?.some((source) => source.serviceAccountToken)) {
      throw refuse('a mirror pod may not use ServiceAccountToken volume projections');
    }
  }
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
