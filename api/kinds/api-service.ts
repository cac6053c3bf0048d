// apiregistration.k8s.io/v1 APIService: which server answers a group and version.
import { age } from '../duration.ts';
import { fieldErrors } from '../field-error.ts';
import { isDns1035Label, isDns1123Subdomain, nameIsPathSegment } from '../names.ts';
import { formatTime } from '../time-format.ts';
import type { APIService } from '../types/apiregistration-v1.ts';
import { type Findings, invalidEach } from '../validation/checks.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

const { invalid, notSupported, required } = fieldErrors;

export const apiService = defineKind<APIService>({
  group: 'apiregistration.k8s.io',
  version: 'v1',
  kind: 'APIService',
  resource: 'apiservices',
  categories: ['api-extensions'],
  namespaced: false,
  allowUnconditionalUpdate: false,
  schema: 'apiregistration.v1.APIService',
  columns: [NAME_COLUMN, 'Service', 'Available', 'Age'],
  cells: (object, { nowMs }) => {
    const { service } = object.spec ?? {};
    return [
      nameOf(object),
      service ? `${service.namespace ?? ''}/${service.name ?? ''}` : 'Local',
      availability(object),
      age(object.metadata.creationTimestamp, nowMs),
    ];
  },
  hasStatus: true,
  statusKeepsMetadata: true,
  validateName: nameIsPathSegment,

  setDefaults({ spec }) {
    if (spec?.service) spec.service.port ??= 443;
  },
  /** What this server answers itself is there from the start. */
  prepareForCreate(object, { nowMs }) {
    object.status = {};
    if (object.spec?.service) return;
    object.status.conditions = [
      {
        type: 'Available',
        status: 'True',
        lastTransitionTime: formatTime(nowMs),
        reason: 'Local',
        message: 'Local APIServices are always available',
      },
    ];
  },
  validate: (object) => [...findings(object)],
  validateStatusUpdate: ({ status }) => [...statusFindings(status?.conditions ?? [])],
});

function availability({ status }: APIService): string {
  const available = status?.conditions?.find((each) => each.type === 'Available');
  if (!available) return 'Unknown';
  return available.status === 'True' ? 'True' : `${available.status} (${available.reason ?? ''})`;
}

function* findings({ metadata, spec }: APIService): Findings {
  const { group = '', version = '', groupPriorityMinimum = 0, versionPriority = 0 } = spec ?? {};
  const name = `${version}.${group}`;
  if (metadata.name && metadata.name !== name) {
    const text = `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(name)}`;
    yield invalid('metadata.name', metadata.name, text);
  }
  if (!group && version !== 'v1') {
    yield required('spec.group', 'only v1 may have an empty group and it better be legacy kube');
  }
  if (group) yield* invalidEach('spec.group', group, isDns1123Subdomain(group));
  yield* invalidEach('spec.version', version, isDns1035Label(version));
  if (groupPriorityMinimum <= 0 || groupPriorityMinimum > 20000) {
    yield invalid('spec.groupPriorityMinimum', groupPriorityMinimum, 'must be positive and less than 20000');
  }
  if (versionPriority <= 0 || versionPriority > 1000) {
    yield invalid('spec.versionPriority', versionPriority, 'must be positive and less than 1000');
  }
  const bundle = Buffer.from(spec?.caBundle ?? '', 'base64').length;
  const skipsVerification = spec?.insecureSkipTLSVerify ?? false;
  if (!spec?.service) {
    if (bundle > 0) yield invalid('spec.caBundle', `${bundle} bytes`, 'local APIServices may not have a caBundle');
    if (skipsVerification) {
      yield invalid('spec.insecureSkipTLSVerify', true, 'local APIServices may not have insecureSkipTLSVerify');
    }
    return;
  }
  const { namespace, name: service, port = 443 } = spec.service;
  if (!namespace) yield required('spec.service.namespace');
  if (!service) yield required('spec.service.name');
  if (port < 1 || port > 65535) {
    yield invalid('spec.service.port', port, 'port is not valid: must be between 1 and 65535, inclusive');
  }
  if (skipsVerification && bundle > 0) {
    yield invalid('spec.insecureSkipTLSVerify', true, 'may not be true if caBundle is present');
  }
}

const STATUSES = ['True', 'False', 'Unknown'];

function* statusFindings(conditions: readonly { status: string }[]): Findings {
  for (const [i, { status }] of conditions.entries()) {
    if (!STATUSES.includes(status)) yield notSupported(`status.conditions[${i}].status`, status, STATUSES);
  }
}
