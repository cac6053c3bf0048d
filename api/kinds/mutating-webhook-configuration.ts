// admissionregistration.k8s.io/v1 MutatingWebhookConfiguration: servers that are asked, and may change objects before they are stored.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import type { MutatingWebhookConfiguration } from '../types/admissionregistration-v1.ts';
import { setWebhookDefaults, validateWebhooks } from '../validation/webhooks.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const mutatingWebhookConfiguration = defineKind<MutatingWebhookConfiguration>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'MutatingWebhookConfiguration',
  resource: 'mutatingwebhookconfigurations',
  categories: ['api-extensions'],
  namespaced: false,
  allowUnconditionalUpdate: false,
  schema: 'admissionregistration.v1.MutatingWebhookConfiguration',
  columns: [NAME_COLUMN, 'Webhooks:integer', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.webhooks?.length ?? 0,
    age(object.metadata.creationTimestamp, nowMs),
  ],
  hasGeneration: true,

  setDefaults: (object) => setWebhookDefaults(object.webhooks, true),
  /** There is no spec: the webhooks are what the generation counts. */
  prepareForUpdate(object, old) {
    if (!semanticEqual(object.webhooks ?? [], old.webhooks ?? [])) {
      object.metadata.generation = (old.metadata.generation ?? 0) + 1;
    }
  },

  validate: (object) => validateWebhooks(object.webhooks ?? []),
  validateUpdate: (object, old) => validateWebhooks(object.webhooks ?? [], old.webhooks ?? []),
});
