// core/v1 Namespace: deletion is two-phased, by spec.finalizers, which only the finalize subresource may change.
import { age } from '../duration.ts';
import type { Namespace } from '../types/core-v1.ts';
import { fieldErrors } from '../field-error.ts';
import { nameIsDnsLabel } from '../names.ts';
import { validateFinalizersOfNew } from '../validation/namespace-finalizers.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const namespace = defineKind<Namespace>({
  group: '',
  version: 'v1',
  kind: 'Namespace',
  resource: 'namespaces',
  shortNames: ['ns'],
  namespaced: false,
  verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
  schema: 'core.v1.Namespace',
  columns: [NAME_COLUMN, 'Status', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.status?.phase ?? '',
    age(object.metadata.creationTimestamp, nowMs),
  ],
  selectableFields: { 'status.phase': (object) => object.status?.phase ?? '', name: nameOf },
  hasStatus: true,
  subresources: [{ name: 'finalize', kind: 'Namespace', verbs: ['update'] }],

  setDefaults(object) {
    const { name, generateName } = object.metadata;
    // A name still to be generated gets its label when it has one.
    if (name || !generateName) (object.metadata.labels ??= {})['kubernetes.io/metadata.name'] = name ?? '';
  },
  prepareForCreate(object) {
    object.status = { phase: 'Active' };
    const finalizers = ((object.spec ??= {}).finalizers ??= []);
    if (!finalizers.includes('kubernetes')) finalizers.push('kubernetes');
  },
  prepareForUpdate(object, old) {
    object.spec = { ...object.spec, finalizers: old.spec?.finalizers };
    object.status = old.status;
  },

  validateName: nameIsDnsLabel,
  validate: validateFinalizersOfNew,
  validateUpdate: () => [],
  validateStatusUpdate({ metadata, status }) {
    const expected = metadata.deletionTimestamp ? 'Terminating' : 'Active';
    if (status?.phase === expected) return [];
    const when = metadata.deletionTimestamp ? 'is not empty' : 'is empty';
    const message = `may only be '${expected}' if \`deletionTimestamp\` ${when}`;
    return [fieldErrors.invalid('status.Phase', status?.phase ?? '', message)];
  },
});
