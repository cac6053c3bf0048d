// apiextensions.k8s.io/v1 CustomResourceDefinition: the names, versions and schemas of a resource that is not built in.
import type { CustomResourceDefinition, CustomResourceDefinitionSpec } from '../types/apiextensions-v1.ts';
import {
  validateDefinition,
  validateDefinitionStatus,
  validateDefinitionUpdate,
} from '../validation/custom-resource-definition.ts';
import { formatWarnings } from '../validation/custom-formats.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

/** Holds a definition until none of its objects is left. */
export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io';

export const customResourceDefinition = defineKind<CustomResourceDefinition>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  resource: 'customresourcedefinitions',
  shortNames: ['crd', 'crds'],
  categories: ['api-extensions'],
  namespaced: false,
  schema: 'apiextensions.v1.CustomResourceDefinition',
  columns: [NAME_COLUMN, 'Created At:date'],
  cells: (object) => [nameOf(object), object.metadata.creationTimestamp ?? ''],
  hasStatus: true,
  statusKeepsMetadata: true,
  hasGeneration: true,
  allowUnconditionalUpdate: false,
  setDefaults({ spec }) {
    if (!spec) return;
    const { names } = spec;
    if (!names.singular && names.kind) names.singular = names.kind.toLowerCase();
    if (!names.listKind && names.kind) names.listKind = `${names.kind}List`;
    spec.conversion ??= { strategy: 'None' };
    const service = spec.conversion.webhook?.clientConfig?.service;
    if (service) service.port ??= 443;
  },
  prepareForCreate(object) {
    object.status = {
      conditions: [],
      acceptedNames: { plural: '', kind: '' },
      storedVersions: storageNames(object.spec),
    };
  },
  prepareForUpdate(object, old) {
    const stored = old.status?.storedVersions ?? [];
    const fresh = storageNames(object.spec).filter((each) => !stored.includes(each));
    object.status = { ...old.status, storedVersions: [...stored, ...fresh] };
  },
  /** Its objects go first. */
  prepareForDelete(object, { nowMs }) {
    const finalizers = object.metadata.finalizers ?? [];
    if (!finalizers.includes(CLEANUP_FINALIZER)) object.metadata.finalizers = [...finalizers, CLEANUP_FINALIZER];
    const conditions = (object.status?.conditions ?? []).filter((each) => each.type !== 'Terminating');
    object.status = {
      ...object.status,
      conditions: [
        ...conditions,
        {
          type: 'Terminating',
          status: 'True',
          lastTransitionTime: `${new Date(nowMs).toISOString().slice(0, 19)}Z`,
          reason: 'InstanceDeletionPending',
          message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon',
        },
      ],
    };
  },
  warnings: (object, old) => formatWarnings(object.spec, old?.spec),
  validate: validateDefinition,
  validateUpdate: validateDefinitionUpdate,
  validateStatusUpdate: validateDefinitionStatus,
});

const storageNames = ({ versions }: CustomResourceDefinitionSpec): string[] =>
  versions
    .filter((each) => each.storage)
    .slice(0, 1)
    .map((each) => each.name);
