// admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration: servers that are asked, and may refuse objects before they are stored.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import type { ValidatingWebhookConfiguration } from '../types/admissionregistration-v1.ts';
import { setWebhookDefaults, validateWebhooks } from '../validation/webhooks.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const validatingWebhookConfiguration = defineKind<ValidatingWebhookConfiguration>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingWebhookConfiguration',
  resource: 'validatingwebhookconfigurations',
  categories: ['api-extensions'],
  namespaced: false,
  allowUnconditionalUpdate: false,
  schema: 'admissionregistration.v1.ValidatingWebhookConfiguration',
  columns: [NAME_COLUMN, 'Webhooks:integer', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.webhooks?.length ?? 0,
    age(object.metadata.creationTimestamp, nowMs),
  ],
  hasGeneration: true,

  setDefaults: (object) => setWebhookDefaults(object.webhooks, false),
  /** There is no spec: the webhooks are what the generation counts. */
  prepareForUpdate(object, old) {
    if (!semanticEqual(object.webhooks ?? [], old.webhooks ?? [])) {
      object.metadata.generation = (old.metadata.generation ?? 0) + 1;
    }
  },

  validate: (object) => validateWebhooks(object.webhooks ?? []),
  validateUpdate: (object, old) => validateWebhooks(object.webhooks ?? [], old.webhooks ?? []),
});
