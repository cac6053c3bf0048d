// Projected and downward API volumes: several sources in one directory, so their paths must not meet.
import { fieldErrors } from '../field-error.ts';
import { validateAnnotations } from '../metadata.ts';
import { nameIsDnsSubdomain } from '../names.ts';
import { validateLabelSelector } from '../selectors.ts';
import type {
  ClusterTrustBundleProjection,
  DownwardAPIVolumeFile,
  KeyToPath,
  PodCertificateProjection,
  ProjectedVolumeSource,
  ServiceAccountTokenProjection,
} from '../types/core-v1.ts';
import { fileMode, type Findings, unreservedPath } from './checks.ts';
import { validateFieldRef, validateResourceFieldRef } from './env.ts';
import { validateKeyToPath } from './key-paths.ts';
import { ofRule } from './ratcheting.ts';
import { signerName } from './signer-name.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;

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
  else yield* ofRule('paths of projected tokens', unreservedPath(source.path, `${volumeField}.path`));
}

function* trustBundle(source: ClusterTrustBundleProjection, field: string, paths: Paths): Findings {
  if (source.name !== undefined && source.signerName !== undefined) {
    yield invalid(field, source, 'only one of name and signerName may be used');
  } else if (source.name !== undefined) {
    const { name } = source;
    if (name === '') yield required(`${field}.name`, 'must be a valid object name');
    // A bundle of a signer has the signer's name before its own: `example.com:signer:bundle`.
    for (const message of nameIsDnsSubdomain(name.slice(name.lastIndexOf(':') + 1), false)) {
      yield invalid(`${field}.name`, name, `not a valid clustertrustbundlename: ${message}`);
    }
    if (source.labelSelector) {
      yield invalid(`${field}.labelSelector`, source.labelSelector, 'labelSelector must be unset if name is specified');
    }
  } else if (source.signerName !== undefined) {
    if (source.signerName === '') yield required(`${field}.signerName`, 'must be a valid signer name');
    yield* signerName(source.signerName, `${field}.signerName`);
    yield* validateLabelSelector(source.labelSelector, `${field}.labelSelector`);
  } else yield required(field, 'either name or signerName must be specified');
  if (!source.path) yield required(`${field}.path`);
  yield* unreservedPath(source.path ?? '', `${field}.path`);
  yield* paths.claim(source.path, source.path);
}

/** In upstream's order. */
const KEY_TYPES = ['RSA3072', 'RSA4096', 'ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519'];
const MIN_SECONDS = 3600;
const MAX_SECONDS = 91 * 86_400;
const MAX_SECONDS_OF_KUBERNETES = 86_400;

function* certificate(source: PodCertificateProjection, field: string, paths: Paths): Findings {
  const { signerName: signer = '', keyType = '', maxExpirationSeconds: seconds } = source;
  yield* signerName(signer, `${field}.signerName`);
  yield* validateAnnotations(source.userAnnotations, `${field}.userAnnotations`);
  if (!KEY_TYPES.includes(keyType)) yield notSupported(`${field}.keyType`, keyType, KEY_TYPES);
  if (seconds !== undefined) {
    const at = `${field}.maxExpirationSeconds`;
    if (seconds < MIN_SECONDS)
      yield invalid(at, seconds, `if provided, maxExpirationSeconds must be >= ${MIN_SECONDS}`);
    const max = /^([^/]*\.)?kubernetes\.io(\/|$)/.test(signer) ? MAX_SECONDS_OF_KUBERNETES : MAX_SECONDS;
    if (seconds > max) yield invalid(at, seconds, `if provided, maxExpirationSeconds must be <= ${max}`);
  }
  let outputs = 0;
  for (const name of ['credentialBundlePath', 'keyPath', 'certificateChainPath'] as const) {
    const path = source[name];
    if (!path) continue;
    outputs++;
    yield* unreservedPath(path, `${field}.${name}`);
    yield* paths.claim(path, path);
  }
  if (outputs === 0) {
    yield required(field, 'specify at least one of credentialBundlePath, keyPath, and certificateChainPath');
  }
}
