// certificates.k8s.io/v1 CertificateSigningRequest: a certificate that somebody wants a signer to issue.
import { age, humanDuration } from '../duration.ts';
import type { StrategyContext } from '../kind.ts';
import { formatTime } from '../time-format.ts';
import type { CertificateSigningRequest, CertificateSigningRequestSpec } from '../types/certificates-v1.ts';
import { validateSigningRequest } from '../validation/certificates.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const certificateSigningRequest = defineKind<CertificateSigningRequest>({
  group: 'certificates.k8s.io',
  version: 'v1',
  kind: 'CertificateSigningRequest',
  resource: 'certificatesigningrequests',
  shortNames: ['csr'],
  namespaced: false,
  schema: 'certificates.v1.CertificateSigningRequest',
  columns: [NAME_COLUMN, 'Age', 'SignerName', 'Requestor', 'RequestedDuration', 'Condition'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    age(object.metadata.creationTimestamp, nowMs),
    object.spec?.signerName || '<none>',
    object.spec?.username ?? '',
    object.spec?.expirationSeconds === undefined ? '<none>' : humanDuration(object.spec.expirationSeconds * 1000),
    conditionOf(object),
  ],
  selectableFields: { 'spec.signerName': (object) => object.spec?.signerName ?? '' },
  hasStatus: true,
  /** Any name will do. */
  validateName: () => [],

  /** Who asks is what the server knows, not what the request says. */
  prepareForCreate(object, { user, groups, uid, extra }) {
    const spec = (object.spec ??= {} as CertificateSigningRequestSpec);
    spec.username = user;
    set(spec, 'groups', groups && [...groups]);
    set(spec, 'uid', uid || undefined);
    set(spec, 'extra', extra && Object.fromEntries(Object.entries(extra).map(([key, values]) => [key, [...values]])));
    object.status = {};
  },
  prepareForUpdate(object, old) {
    object.spec = old.spec;
    object.status = old.status;
  },
  prepareForStatusUpdate: stampConditions,
  updates: {
    /** Approves or denies; the certificate is not its affair. */
    approval: {
      prepare(object, old, context) {
        object.spec = old.spec;
        object.status = { ...old.status, conditions: object.status?.conditions };
        stampConditions(object, old, context);
      },
      validate: (object, old) => validateSigningRequest(object, old, 'approval'),
    },
  },

  validate: (object) => validateSigningRequest(object),
  validateUpdate: (object, old) => validateSigningRequest(object, old),
  validateStatusUpdate: (object, old) => validateSigningRequest(object, old, 'status'),
});

function set<T extends object, K extends keyof T>(target: T, key: K, value: T[K] | undefined): void {
  if (value === undefined) delete target[key];
  else target[key] = value;
}

/** New conditions get their times; one whose status stays keeps the time of its last transition. */
function stampConditions(
  object: CertificateSigningRequest,
  old: CertificateSigningRequest,
  { nowMs }: StrategyContext,
): void {
  const now = formatTime(nowMs);
  for (const condition of object.status?.conditions ?? []) {
    condition.lastUpdateTime ??= now;
    if (condition.lastTransitionTime) continue;
    const before = old.status?.conditions?.find((each) => each.type === condition.type);
    condition.lastTransitionTime = (before?.status === condition.status ? before.lastTransitionTime : undefined) ?? now;
  }
}

function conditionOf({ status }: CertificateSigningRequest): string {
  const has = (type: string) => status?.conditions?.some((each) => each.type === type) ?? false;
  const words = [has('Denied') ? 'Denied' : has('Approved') ? 'Approved' : 'Pending'];
  if (has('Failed')) words.push('Failed');
  if (status?.certificate) words.push('Issued');
  return words.join(',');
}
