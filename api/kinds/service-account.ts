// core/v1 ServiceAccount: an identity for pods.
import { age } from '../duration.ts';
import type { ServiceAccount } from '../types/core-v1.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

const MOUNTABLE_SECRETS = 'kubernetes.io/enforce-mountable-secrets';

export const serviceAccount = defineKind<ServiceAccount>({
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  resource: 'serviceaccounts',
  shortNames: ['sa'],
  namespaced: true,
  schema: 'core.v1.ServiceAccount',
  columns: [NAME_COLUMN, 'Age'],
  cells: (object, { nowMs }) => [nameOf(object), age(object.metadata.creationTimestamp, nowMs)],
  prepareForCreate: nameSecretsOnly,
  prepareForUpdate: nameSecretsOnly,
  /** Who sets it is told, not who changes an account that has it. */
  warnings: ({ metadata }, old) =>
    metadata.annotations?.[MOUNTABLE_SECRETS] === undefined ||
    old?.metadata.annotations?.[MOUNTABLE_SECRETS] !== undefined
      ? []
      : [
          `metadata.annotations[${MOUNTABLE_SECRETS}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets`,
        ],
  subresources: [
    { name: 'token', kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1', verbs: ['create'] },
  ],
});

/** Secrets are in the account's namespace; whatever else a reference could say is not kept. */
function nameSecretsOnly(object: ServiceAccount): void {
  if (object.secrets) object.secrets = object.secrets.map(({ name }) => (name ? { name } : {}));
}
