// storage.k8s.io/v1 VolumeAttachment: a volume that is to be attached to a node.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { fieldErrors, goStruct } from '../field-error.ts';
import { nameIsDnsSubdomain, rangeError } from '../names.ts';
import type {
  VolumeAttachment,
  VolumeAttachmentSource,
  VolumeAttachmentSpec,
  VolumeError,
} from '../types/storage-v1.ts';
import { type Findings, IMMUTABLE, invalidEach, MAX_INT32 } from '../validation/checks.ts';
import { csiDriverName } from '../validation/csi.ts';
import { validateInlineVolume } from '../validation/persistent-volume.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { setBlockDefaults } from './parts/volume-defaults.ts';

const { forbidden, invalid, required, tooLong } = fieldErrors;

const MAX_METADATA_BYTES = 256 * 1024;
const MAX_ERROR_BYTES = 1024;

export const volumeAttachment = defineKind<VolumeAttachment>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'VolumeAttachment',
  resource: 'volumeattachments',
  namespaced: false,
  schema: 'storage.v1.VolumeAttachment',
  columns: [NAME_COLUMN, 'Attacher:string:name', 'PV', 'Node', 'Attached:boolean', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.attacher ?? '',
    object.spec?.source?.persistentVolumeName ?? '',
    object.spec?.nodeName ?? '',
    object.status?.attached ?? false,
    age(object.metadata.creationTimestamp, nowMs),
  ],
  hasStatus: true,

  setDefaults({ spec }) {
    const inline = spec?.source?.inlineVolumeSpec;
    if (!inline) return;
    if (inline.hostPath) inline.hostPath.type ??= '';
    setBlockDefaults(inline);
  },
  prepareForCreate(object) {
    object.status = { attached: false };
  },
  allowUnconditionalUpdate: false,
  statusKeepsMetadata: true,
  validate: (object) => [...findings(object), ...newFindings(object)],
  validateUpdate: (object, old) => [
    ...findings(object),
    ...(semanticEqual(object.spec, old.spec) ? [] : [invalid('spec', shown(object.spec), IMMUTABLE)]),
  ],
  validateStatusUpdate: (object) => [...findings(object)],
});

const shown = (spec: VolumeAttachmentSpec) => ({
  ...goStruct(spec, { Attacher: '', Source: null, NodeName: '' }),
  Source: goStruct(spec.source, { PersistentVolumeName: null, InlineVolumeSpec: null }),
});

function* findings({ spec, status }: VolumeAttachment): Findings {
  const { attacher = '', source = {}, nodeName = '' } = spec ?? {};
  if (attacher === '') yield required('spec.attacher');
  yield* sourceFindings(source, 'spec.source');
  yield* invalidEach('spec.nodeName', nodeName, nameIsDnsSubdomain(nodeName, false));
  const size = Object.entries(status?.attachmentMetadata ?? {}).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
    0,
  );
  if (size > MAX_METADATA_BYTES) yield tooLong('status.attachmentMetadata', MAX_METADATA_BYTES);
  yield* errorFindings(status?.attachError, 'status.attachError');
  yield* errorFindings(status?.detachError, 'status.detachError');
}

/** Version v1 asks of what is new for more than the versions before it did. */
function* newFindings({ spec }: VolumeAttachment): Findings {
  yield* csiDriverName(spec?.attacher ?? '', 'spec.attacher');
  const volume = spec?.source?.persistentVolumeName;
  if (volume !== undefined) {
    yield* invalidEach('spec.source.persistentVolumeName', volume, nameIsDnsSubdomain(volume, false));
  }
}

function* sourceFindings(
  { persistentVolumeName: name, inlineVolumeSpec }: VolumeAttachmentSource,
  field: string,
): Findings {
  const text = 'must specify exactly one of inlineVolumeSpec and persistentVolumeName';
  if (name === undefined && !inlineVolumeSpec) yield required(field, text);
  else if (name !== undefined && inlineVolumeSpec) yield forbidden(field, text);
  else if (name === '') {
    yield required(`${field}.persistentVolumeName`, 'must specify non empty persistentVolumeName');
  } else if (inlineVolumeSpec) yield* validateInlineVolume(inlineVolumeSpec, `${field}.inlineVolumeSpec`);
}

function* errorFindings(error: VolumeError | undefined, field: string): Findings {
  if (!error) return;
  // The limit that the message names is the metadata's: upstream's slip.
  if (Buffer.byteLength(error.message ?? '') > MAX_ERROR_BYTES) yield tooLong(`${field}.message`, MAX_METADATA_BYTES);
  const code = error.errorCode;
  if (code !== undefined && code < 0) yield invalid(`${field}.errorCode`, code, rangeError(0, MAX_INT32));
}
