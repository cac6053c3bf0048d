// Projected and downward API volumes: several sources in one directory, so their paths must not meet.
import { fieldErrors } from '../field-error.ts';
import { validateLabelSelector } from '../selectors.ts';
import type {
  ClusterTrustBundleProjection,
  DownwardAPIVolumeFile,
  KeyToPath,
  PodCertificateProjection,
  ProjectedVolumeSource,
  ServiceAccountTokenProjection,
} from '../types/core-v1.ts';
import { fileMode, type Findings, oneOf, unreservedPath } from './checks.ts';
import { validateFieldRef, validateResourceFieldRef } from './env.ts';
import { validateKeyToPath } from './key-paths.ts';

const { forbidden, invalid, required } = fieldErrors;

const VOLUME_FIELDS = [
  'metadata.annotations',
  'metadata.labels',
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
];

/** Upstream names the list, not the entry. */
export function* validateDownwardFile(file: DownwardAPIVolumeFile, field: string): Findings {
  if (!file.path) yield required(`${field}.path`);
  yield* unreservedPath(file.path ?? '', `${field}.path`);
  if (file.fieldRef) {
    yield* validateFieldRef(file.fieldRef, VOLUME_FIELDS, `${field}.fieldRef`);
    if (file.resourceFieldRef) {
      yield invalid(field, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously');
    }
  } else if (file.resourceFieldRef) {
    yield* validateResourceFieldRef(file.resourceFieldRef, `${field}.resourceFieldRef`, true);
  } else yield required(field, 'one of fieldRef and resourceFieldRef is required');
  yield* fileMode(file.mode, `${field}.mode`);
}

export function* validateProjectedVolume(volume: ProjectedVolumeSource, field: string): Findings {
  yield* fileMode(volume.defaultMode, `${field}.defaultMode`);
  const paths = new Paths(field);
  for (const [i, source] of (volume.sources ?? []).entries()) {
    const at = `${field}.sources[${i}]`;
    const { secret, configMap, downwardAPI, serviceAccountToken, clusterTrustBundle, podCertificate } = source;
    if (secret) yield* keyedSource(secret, `${at}.secret`, paths);
    if (configMap) yield* keyedSource(configMap, `${at}.configMap`, paths);
    for (const file of downwardAPI?.items ?? []) {
      yield* validateDownwardFile(file, `${at}.downwardAPI`);
      yield* paths.claim(file.path, file.path);
    }
    if (serviceAccountToken) yield* token(serviceAccountToken, `${at}.serviceAccountToken`, field);
    if (clusterTrustBundle) yield* trustBundle(clusterTrustBundle, `${at}.clusterTrustBundle`, paths);
    if (podCertificate) yield* certificate(podCertificate, `${at}.podCertificate`, paths);
    if (Object.values(source).filter((each) => each !== undefined).length > 1) {
      yield forbidden(at, 'may not specify more than 1 volume type per source');
    }
  }
}

/** The paths taken so far. */
class Paths {
  readonly #taken = new Set<string>();
  readonly #field: string;

  constructor(field: string) {
    this.#field = field;
  }

  *claim(path: string | undefined, shown: unknown): Findings {
    if (!path) return;
    if (this.#taken.has(path)) yield invalid(this.#field, shown, 'conflicting duplicate paths');
    this.#taken.add(path);
  }
}

function* keyedSource(source: { name?: string; items?: KeyToPath[] }, field: string, paths: Paths): Findings {
  if (!source.name) yield required(`${field}.name`);
  for (const [i, item] of (source.items ?? []).entries()) {
    yield* validateKeyToPath(item, `${field}.items[${i}]`);
    yield* paths.claim(item.path, source.name ?? '');
  }
}

/** `volumeField` is the projected volume: upstream reports the token's path there. */
function* token(source: ServiceAccountTokenProjection, field: string, volumeField: string): Findings {
  const seconds = source.expirationSeconds ?? 0;
  if (seconds < 600) {
    yield invalid(`${field}.expirationSeconds`, seconds, 'may not specify a duration less than 10 minutes');
  }
  if (seconds > 2 ** 32) {
    yield invalid(`${field}.expirationSeconds`, seconds, 'may not specify a duration larger than 2^32 seconds');
  }
  if (!source.path) yield required(`${volumeField}.path`);
  else yield* unreservedPath(source.path, `${volumeField}.path`);
}

function* trustBundle(source: ClusterTrustBundleProjection, field: string, paths: Paths): Findings {
  if (source.name !== undefined && source.signerName !== undefined) {
    yield invalid(field, source, 'only one of name and signerName may be used');
  } else if (source.name !== undefined) {
    if (source.name === '') yield required(`${field}.name`, 'must be a valid object name');
    if (source.labelSelector) {
      yield invalid(`${field}.labelSelector`, source.labelSelector, 'labelSelector must be unset if name is specified');
    }
  } else if (source.signerName !== undefined) {
    if (source.signerName === '') yield required(`${field}.signerName`, 'must be a valid signer name');
    yield* validateLabelSelector(source.labelSelector, `${field}.labelSelector`);
  } else yield required(field, 'either name or signerName must be specified');
  if (!source.path) yield required(`${field}.path`);
  yield* unreservedPath(source.path ?? '', `${field}.path`);
  yield* paths.claim(source.path, source.path);
}

const KEY_TYPES = ['ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519', 'RSA3072', 'RSA4096'];

function* certificate(source: PodCertificateProjection, field: string, paths: Paths): Findings {
  if (!source.signerName) yield required(`${field}.signerName`);
  yield* oneOf(source.keyType, KEY_TYPES, `${field}.keyType`);
  const outputs = [source.credentialBundlePath, source.keyPath, source.certificateChainPath];
  if (outputs.every((each) => !each)) yield required(field, 'specify at least one of credentialBundlePath or keyPath');
  for (const [name, path] of [
    ['credentialBundlePath', source.credentialBundlePath],
    ['keyPath', source.keyPath],
    ['certificateChainPath', source.certificateChainPath],
  ] as const) {
    if (!path) continue;
    yield* unreservedPath(path, `${field}.${name}`);
    yield* paths.claim(path, path);
  }
}
