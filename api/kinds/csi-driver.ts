// storage.k8s.io/v1 CSIDriver: what a storage driver needs of the cluster.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import type { CSIDriver, CSIDriverSpec, TokenRequest } from '../types/storage-v1.ts';
import { type Findings, IMMUTABLE, optionalOneOf } from '../validation/checks.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

const { duplicate, invalid, notSupported, required } = fieldErrors;

const REQUIRED = [
  // The slip in the path is upstream's.
  ['attachRequired', 'spec.attachedRequired'],
  ['podInfoOnMount', 'spec.podInfoOnMount'],
  ['storageCapacity', 'spec.storageCapacity'],
] as const;
/** Changes of these count as a new generation. */
const COUNTED = ['tokenRequests', 'requiresRepublish', 'seLinuxMount'] as const;
const MODES = ['Persistent', 'Ephemeral'];
const MIN_TOKEN_SECONDS = 600;
const MIN_UPDATE_SECONDS = 10;

export const csiDriver = defineKind<CSIDriver>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'CSIDriver',
  resource: 'csidrivers',
  namespaced: false,
  schema: 'storage.v1.CSIDriver',
  columns: [
    NAME_COLUMN,
    'AttachRequired:boolean',
    'PodInfoOnMount:boolean',
    'StorageCapacity:boolean',
    'TokenRequests',
    'RequiresRepublish:boolean',
    'Modes',
    'Age',
  ],
  cells(object, { nowMs }) {
    const spec = object.spec ?? {};
    return [
      nameOf(object),
      spec.attachRequired ?? true,
      spec.podInfoOnMount ?? false,
      spec.storageCapacity ?? false,
      spec.tokenRequests ? spec.tokenRequests.map((each) => each.audience).join(',') : '<unset>',
      spec.requiresRepublish ?? false,
      (spec.volumeLifecycleModes ?? []).join(',') || '<none>',
      age(object.metadata.creationTimestamp, nowMs),
    ];
  },

  setDefaults(object) {
    const spec = (object.spec ??= {});
    spec.attachRequired ??= true;
    spec.podInfoOnMount ??= false;
    spec.storageCapacity ??= false;
    spec.fsGroupPolicy ??= 'ReadWriteOnceWithFSType';
    if (!spec.volumeLifecycleModes?.length) spec.volumeLifecycleModes = ['Persistent'];
    spec.requiresRepublish ??= false;
    spec.seLinuxMount ??= false;
  },
  /** VolumeLimitScaling is off by default in 1.36: its field is dropped, unless it was there. */
  prepareForCreate({ spec }) {
    delete spec?.preventPodSchedulingIfMissing;
  },
  prepareForUpdate({ metadata, spec }, old) {
    if (old.spec.preventPodSchedulingIfMissing === undefined) delete spec.preventPodSchedulingIfMissing;
    if (COUNTED.some((name) => !semanticEqual(spec[name], old.spec[name]))) {
      metadata.generation = (old.metadata.generation ?? 0) + 1;
    }
  },

  allowUnconditionalUpdate: false,
  validate: ({ spec }) => [...findings(spec ?? {})],
  validateUpdate({ spec }, old) {
    const found = [...findings(spec ?? {})];
    if (spec.attachRequired !== old.spec.attachRequired) {
      found.push(invalid('spec.attachedRequired', spec.attachRequired, IMMUTABLE));
    }
    if (!semanticEqual(spec.volumeLifecycleModes, old.spec.volumeLifecycleModes)) {
      found.push(invalid('spec.volumeLifecycleModes', spec.volumeLifecycleModes, IMMUTABLE));
    }
    return found;
  },
});

function* findings(spec: CSIDriverSpec): Findings {
  for (const [name, field] of REQUIRED) if (spec[name] === undefined) yield required(field);
  yield* optionalOneOf(spec.fsGroupPolicy, ['File', 'None', 'ReadWriteOnceWithFSType'], 'spec.fsGroupPolicy');
  yield* tokenRequests(spec.tokenRequests ?? [], 'spec.tokenRequests');
  for (const mode of spec.volumeLifecycleModes ?? []) {
    if (!MODES.includes(mode)) yield notSupported('spec.volumeLifecycleModes', mode, MODES);
  }
  if (spec.seLinuxMount === undefined) yield required('spec.seLinuxMount');
  const period = spec.nodeAllocatableUpdatePeriodSeconds;
  if (period !== undefined && period < MIN_UPDATE_SECONDS) {
    yield invalid('spec.nodeAllocatableUpdatePeriodSeconds', period, 'must be greater than or equal to 10 seconds');
  }
  if (spec.serviceAccountTokenInSecrets !== undefined && !spec.tokenRequests?.length) {
    const text = 'serviceAccountTokenInSecrets is set but no tokenRequests are specified';
    yield invalid('spec.serviceAccountTokenInSecrets', spec.serviceAccountTokenInSecrets, text);
  }
}

function* tokenRequests(requests: readonly TokenRequest[], field: string): Findings {
  const audiences = new Set<string>();
  for (const [i, { audience = '', expirationSeconds: seconds }] of requests.entries()) {
    if (audiences.has(audience)) {
      yield duplicate(`${field}[${i}].audience`, audience);
      continue;
    }
    audiences.add(audience);
    if (seconds === undefined) continue;
    const path = `${field}[${i}].expirationSeconds`;
    if (seconds < MIN_TOKEN_SECONDS) yield invalid(path, seconds, 'may not specify a duration less than 10 minutes');
    if (seconds > 2 ** 32) yield invalid(path, seconds, 'may not specify a duration larger than 2^32 seconds');
  }
}
