// The volumes of a pod: exactly one source each. Sources of the node and the cluster are here, projected ones in
// projected-volumes.ts, disks of networks and clouds in remote-volumes.ts.
import { type FieldError, fieldErrors } from '../field-error.ts';
import { byteLength, isDns1123Subdomain } from '../names.ts';
import { validateAnnotations } from '../metadata.ts';
import { quantityOf } from '../quantity.ts';
import { validateLabels } from '../selectors.ts';
import type { ObjectMeta } from '../types/meta.ts';
import type { HostPathVolumeSource, PersistentVolumeClaimTemplate, Volume } from '../types/core-v1.ts';
import {
  dnsLabel,
  descendingPath,
  dnsSubdomain,
  fileMode,
  type Findings,
  oneOf,
  optionalOneOf,
  pathWithoutBacksteps,
} from './checks.ts';
import { csiDriverName } from './csi.ts';
import { validateKeysToPaths } from './key-paths.ts';
import { validateClaimSpec } from './persistent-volume-claims.ts';
import { validateDownwardFile, validateProjectedVolume } from './projected-volumes.ts';
import { REMOTE_SOURCES } from './remote-volumes.ts';

const { duplicate, forbidden, invalid, required } = fieldErrors;

export interface VolumeContext {
  /** Absent for templates. */
  podMeta: ObjectMeta | undefined;
}

/** The volumes found good, by name, for the mounts to refer to; and what is wrong with the others. */
export function checkVolumes(
  volumes: readonly Volume[] | undefined,
  field: string,
  context: VolumeContext,
): { byName: Map<string, Volume>; found: FieldError[] } {
  const byName = new Map<string, Volume>();
  const found: FieldError[] = [];
  const podName = context.podMeta?.name;
  const createdClaims = new Set(
    podName ? (volumes ?? []).filter((each) => each.ephemeral).map((each) => `${podName}-${each.name}`) : [],
  );
  for (const [i, volume] of (volumes ?? []).entries()) {
    const at = `${field}[${i}]`;
    const own = [...validateVolume(volume, at, context)];
    if (byName.has(volume.name)) own.push(duplicate(`${at}.name`, volume.name));
    if (own.length === 0) byName.set(volume.name, volume);
    found.push(...own);
    const claimName = volume.persistentVolumeClaim?.claimName;
    if (claimName !== undefined && createdClaims.has(claimName)) {
      const message = 'must not reference a PVC that gets created for an ephemeral volume';
      found.push(invalid(`${at}.persistentVolumeClaim.claimName`, claimName, message));
    }
  }
  return { byName, found };
}

type SourceName = Exclude<keyof Volume, 'name'>;
type SourceCheck = (volume: Volume, field: string, context: VolumeContext) => Findings;

const REMOTE = new Map<SourceName, SourceCheck>(REMOTE_SOURCES);

const CHECKS: Partial<Record<SourceName, SourceCheck>> = {
  emptyDir,
  hostPath: (volume, field) => validateHostPath(volume.hostPath, field),
  gitRepo,
  secret,
  persistentVolumeClaim: claim,
  downwardAPI: downwardApi,
  configMap,
  projected: (volume, field) => validateProjectedVolume(volume.projected ?? {}, field),
  csi,
  ephemeral,
  image,
};

/** In upstream's order: the first source is checked, the others are one too many. */
const SOURCES = (
  'emptyDir hostPath gitRepo gcePersistentDisk awsElasticBlockStore secret nfs iscsi glusterfs flocker ' +
  'persistentVolumeClaim rbd cinder cephfs quobyte downwardAPI fc flexVolume configMap azureFile vsphereVolume ' +
  'photonPersistentDisk portworxVolume azureDisk storageos projected scaleIO csi ephemeral image'
)
  .split(' ')
  .map((name) => [name as SourceName, (CHECKS[name as SourceName] ?? REMOTE.get(name as SourceName))!] as const);

/** Where upstream's paths are not the fields' names: of what is checked, and of what is one too many. */
const CHECKED_AS: Partial<Record<SourceName, string>> = { gcePersistentDisk: 'persistentDisk' };
const REFUSED_AS: Partial<Record<SourceName, string>> = { cephfs: 'cephFS', downwardAPI: 'downwarAPI' };

const MAX_INITIATED = 64;
const INITIATED =
  'Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.';

function* validateVolume(volume: Volume, field: string, context: VolumeContext): Findings {
  let sources = 0;
  for (const [name, check] of SOURCES) {
    if (volume[name] === undefined) continue;
    if (sources++ > 0)
      yield forbidden(`${field}.${REFUSED_AS[name] ?? name}`, 'may not specify more than 1 volume type');
    else yield* check(volume, `${field}.${CHECKED_AS[name] ?? name}`, context);
    const { initiatorName, targetPortal } = volume.iscsi ?? {};
    if (name === 'iscsi' && initiatorName !== undefined) {
      const total = byteLength(`${volume.name}:${targetPortal ?? ''}`);
      if (total > MAX_INITIATED) yield invalid(`${field}.name`, volume.name, INITIATED);
    }
  }
  if (sources === 0) yield required(field, 'must specify a volume type');
  if (!volume.name) yield required(`${field}.name`);
  else yield* dnsLabel(volume.name, `${field}.name`);
}

function* emptyDir({ emptyDir: source }: Volume, field: string): Findings {
  if (quantityOf(source?.sizeLimit).nanos < 0n) {
    yield forbidden(`${field}.sizeLimit`, 'SizeLimit field must be a valid resource quantity');
  }
}

const HOST_PATH_TYPES = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
];

export function* validateHostPath(source: HostPathVolumeSource | undefined, field: string): Findings {
  if (!source?.path) {
    yield required(`${field}.path`);
    return;
  }
  yield* pathWithoutBacksteps(source.path, `${field}.path`);
  yield* optionalOneOf(source.type, HOST_PATH_TYPES, `${field}.type`);
}

function* gitRepo({ gitRepo: source }: Volume, field: string): Findings {
  if (!source?.repository) yield required(`${field}.repository`);
  yield* descendingPath(source?.directory ?? '', `${field}.directory`);
}

function* secret({ secret: source }: Volume, field: string): Findings {
  if (!source?.secretName) yield required(`${field}.secretName`);
  yield* fileMode(source?.defaultMode, `${field}.defaultMode`);
  yield* validateKeysToPaths(source?.items, `${field}.items`);
}

function* configMap({ configMap: source }: Volume, field: string): Findings {
  if (!source?.name) yield required(`${field}.name`);
  yield* fileMode(source?.defaultMode, `${field}.defaultMode`);
  yield* validateKeysToPaths(source?.items, `${field}.items`);
}

function* claim({ persistentVolumeClaim: source }: Volume, field: string): Findings {
  if (!source?.claimName) yield required(`${field}.claimName`);
}

function* downwardApi({ downwardAPI: source }: Volume, field: string): Findings {
  yield* fileMode(source?.defaultMode, `${field}.defaultMode`);
  for (const file of source?.items ?? []) yield* validateDownwardFile(file, field);
}

function* csi({ csi: source }: Volume, field: string): Findings {
  yield* csiDriverName(source?.driver ?? '', `${field}.driver`);
  if (source?.nodePublishSecretRef && !source.nodePublishSecretRef.name) {
    yield required(`${field}.nodePublishSecretRef.name`);
  } else if (source?.nodePublishSecretRef) {
    // The path is upstream's.
    yield* dnsSubdomain(source.nodePublishSecretRef.name ?? '', `${field}.name`);
  }
}

function* ephemeral(volume: Volume, field: string, { podMeta }: VolumeContext): Findings {
  const template = volume.ephemeral?.volumeClaimTemplate;
  if (!template) yield required(`${field}.volumeClaimTemplate`);
  else {
    yield* claimTemplateMetadata(template, `${field}.volumeClaimTemplate.metadata`);
    yield* validateClaimSpec(template.spec, `${field}.volumeClaimTemplate.spec`);
  }
  if (!podMeta?.name || !volume.name) return;
  const claimName = `${podMeta.name}-${volume.name}`;
  for (const message of isDns1123Subdomain(claimName)) {
    yield invalid(`${field.slice(0, -'.ephemeral'.length)}.name`, volume.name, `PVC name "${claimName}": ${message}`);
  }
}

const NOT_FOR_CLAIMS = (
  'name generateName namespace selfLink uid resourceVersion generation creationTimestamp deletionTimestamp ' +
  'deletionGracePeriodSeconds ownerReferences finalizers managedFields'
).split(' ') as (keyof ObjectMeta)[];

/** Labels and annotations are what the claim takes over. */
function* claimTemplateMetadata({ metadata = {} }: PersistentVolumeClaimTemplate, field: string): Findings {
  yield* validateAnnotations(metadata.annotations, `${field}.annotations`);
  yield* validateLabels(metadata.labels, `${field}.labels`);
  for (const name of NOT_FOR_CLAIMS) {
    if (!metadata[name]) continue;
    // The name is Go's.
    yield forbidden(`${field}.${name === 'uid' ? 'uID' : name}`, 'cannot be set');
  }
}

function* image({ image: source }: Volume, field: string, { podMeta }: VolumeContext): Findings {
  if (podMeta && !source?.reference) yield required(`${field}.reference`);
  yield* oneOf(source?.pullPolicy, ['Always', 'IfNotPresent', 'Never'], `${field}.pullPolicy`);
}
