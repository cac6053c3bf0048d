// What a CustomResourceDefinition may be (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation).
import { deepEqual } from '../equality.ts';
import { type FieldError, fieldErrors, formatValue } from '../field-error.ts';
import { isDns1035Label, isDns1123Subdomain } from '../names.ts';
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionSpec,
} from '../types/apiextensions-v1.ts';
import { IMMUTABLE } from './checks.ts';
import { validateConversion } from './custom-conversion.ts';
import { schemasIn } from './custom-formats.ts';
import { shownVersions, validateOwnParts, validateSharedParts } from './custom-versions.ts';

const { invalid, notSupported, required } = fieldErrors;

const APPROVAL = 'api-approved.kubernetes.io';
const KEEP_IN_SCHEMA =
  'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead';
const APPROVAL_WHERE = 'see https://github.com/kubernetes/enhancements/pull/1111';

export const isEstablished = (definition: CustomResourceDefinition): boolean =>
  conditionOf(definition, 'Established')?.status === 'True';

export const conditionOf = ({ status }: CustomResourceDefinition, type: string) =>
  status?.conditions?.find((each) => each.type === type);

export function validateDefinition(definition: CustomResourceDefinition): FieldError[] {
  const { spec, metadata } = definition;
  const found: FieldError[] = [];
  if (metadata.name !== undefined && metadata.name !== `${spec.names.plural}.${spec.group}`) {
    found.push(invalid('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group'));
  }
  found.push(
    ...validateSpec(spec, { allowInvalidCaBundle: true }),
    ...validateStatus(definition),
    ...validateStoredVersions(definition),
    ...validateApproval(definition),
  );
  if (spec.preserveUnknownFields) found.push(invalid('spec.preserveUnknownFields', true, KEEP_IN_SCHEMA));
  return found;
}

export function validateDefinitionUpdate(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition,
): FieldError[] {
  const { spec } = definition;
  const before = old.spec;
  const allowInvalidCaBundle = !isEstablished(old) || hasInvalidCaBundle(before);
  const found = validateSpec(spec, { allowInvalidCaBundle, old: before });
  const immutable = (value: unknown, was: unknown, field: string) => {
    if (!deepEqual(value, was)) found.push(invalid(field, value, IMMUTABLE));
  };
  if (isEstablished(old)) {
    immutable(spec.scope, before.scope, 'spec.scope');
    immutable(spec.names.kind, before.names.kind, 'spec.names.kind');
  }
  immutable(spec.group, before.group, 'spec.group');
  immutable(spec.names.plural, before.names.plural, 'spec.names.plural');
  found.push(
    ...validateStatus(definition),
    ...validateStoredVersions(definition),
    ...validateApproval(definition, old),
  );
  if (spec.preserveUnknownFields && !before.preserveUnknownFields) {
    found.push(invalid('spec.preserveUnknownFields', true, KEEP_IN_SCHEMA));
  }
  return found;
}

/** Of a write of the status alone. What versions are stored is then its writer's to know. */
export const validateDefinitionStatus = (definition: CustomResourceDefinition): FieldError[] =>
  validateStatus(definition);

const hasInvalidCaBundle = ({ conversion }: CustomResourceDefinitionSpec): boolean => {
  const bundle = conversion?.webhook?.clientConfig?.caBundle;
  return (
    bundle !== undefined && !Buffer.from(bundle, 'base64').toString('utf8').includes('-----BEGIN CERTIFICATE-----')
  );
};

interface SpecOptions {
  allowInvalidCaBundle: boolean;
  old?: CustomResourceDefinitionSpec;
}

function validateSpec(spec: CustomResourceDefinitionSpec, options: SpecOptions): FieldError[] {
  const found: FieldError[] = [];
  const { group, scope, names, versions } = spec;
  if (!group) found.push(required('spec.group'));
  else {
    const wrong = isDns1123Subdomain(group);
    if (wrong.length > 0) found.push(invalid('spec.group', group, wrong.join(',')));
    else if (!group.includes('.')) found.push(invalid('spec.group', group, 'should be a domain with at least one dot'));
  }
  if (!scope) found.push(required('spec.scope'));
  else if (scope !== 'Cluster' && scope !== 'Namespaced') {
    found.push(notSupported('spec.scope', scope, ['Cluster', 'Namespaced']));
  }
  versions.forEach((version, i) => {
    if (!version.schema?.openAPIV3Schema) found.push(required(`spec.versions[${i}].schema.openAPIV3Schema`));
  });
  const keepsUnknown = spec.preserveUnknownFields === true;
  if (keepsUnknown && schemasIn(spec).some((each) => each.default !== undefined)) {
    const why = 'must be false in order to use defaults in the schema';
    found.push(invalid('spec.preserveUnknownFields', true, why));
  }
  versions.forEach((version, i) => {
    const wrong = isDns1035Label(version.name);
    if (wrong.length > 0) found.push(invalid(`spec.versions[${i}].name`, version.name, wrong.join(',')));
    found.push(...validateOwnParts(versions, i, options.old));
  });
  if (new Set(versions.map((each) => each.name)).size !== versions.length) {
    found.push(invalid('spec.versions', shownVersions(versions), 'must contain unique version names'));
  }
  if (versions.filter((each) => each.storage).length !== 1) {
    const why = 'must have exactly one version marked as storage version';
    found.push(invalid('spec.versions', shownVersions(versions), why));
  }
  // The first version has a second place inside of upstream.
  const first = isDns1035Label(versions[0]?.name ?? '');
  if (versions[0]?.name && first.length > 0) found.push(invalid('spec.version', versions[0].name, first.join(',')));
  for (const name of ['plural', 'singular', 'kind', 'listKind'] as const) {
    if (!names[name]) found.push(required(`spec.names.${name}`));
  }
  found.push(...validateNames(names, 'spec.names'));
  found.push(...validateSharedParts(versions, options.old));
  if (keepsUnknown && spec.conversion && spec.conversion.strategy !== 'None') {
    const why = 'must be None if spec.preserveUnknownFields is true';
    found.push(invalid('spec.conversion.strategy', spec.conversion.strategy, why));
  }
  found.push(...validateConversion(spec.conversion, 'spec.conversion', options));
  return found;
}

function validateNames(names: CustomResourceDefinitionNames, field: string): FieldError[] {
  const found: FieldError[] = [];
  const check = (name: string | undefined, path: string, mixedCase = false) => {
    if (!name) return;
    const wrong = isDns1035Label(mixedCase ? name.toLowerCase() : name);
    if (wrong.length === 0) return;
    const prefix = mixedCase ? 'may have mixed case, but should otherwise match: ' : '';
    found.push(invalid(`${field}.${path}`, name, prefix + wrong.join(',')));
  };
  check(names.plural, 'plural');
  check(names.singular, 'singular');
  check(names.kind, 'kind', true);
  check(names.listKind, 'listKind', true);
  const entries = (list: readonly string[] | undefined, path: string) =>
    list?.forEach((each, i) => {
      const wrong = isDns1035Label(each);
      if (wrong.length > 0) found.push(invalid(`${field}.${path}[${i}]`, each, wrong.join(',')));
    });
  entries(names.shortNames, 'shortNames');
  if (names.kind && names.kind === names.listKind) {
    found.push(invalid(`${field}.listKind`, names.listKind, 'kind and listKind may not be the same'));
  }
  entries(names.categories, 'categories');
  return found;
}

function validateStatus({ status }: CustomResourceDefinition): FieldError[] {
  return status?.acceptedNames ? validateNames(status.acceptedNames, 'status.acceptedNames') : [];
}

function* validateStoredVersions({ spec, status }: CustomResourceDefinition): Iterable<FieldError> {
  const field = 'status.storedVersions';
  const stored = status?.storedVersions ?? [];
  if (stored.length === 0) {
    yield invalid(field, stored, 'must have at least one stored version');
    return;
  }
  for (const { name, storage } of spec.versions) {
    if (storage && !stored.includes(name)) yield invalid(field, stored, `must have the storage version ${name}`);
  }
  for (const [i, name] of stored.entries()) {
    if (spec.versions.some((each) => each.name === name)) continue;
    yield invalid(
      `${field}[${i}]`,
      name,
      `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`,
    );
  }
}

/** Groups of the project itself need its approval, or say that they have none; what there was before may stay. */
function* validateApproval(definition: CustomResourceDefinition, old?: CustomResourceDefinition): Iterable<FieldError> {
  const { group } = definition.spec;
  if (!/(^|\.)(k8s|kubernetes)\.io$/.test(group)) return;
  const { state, value, text } = approvalOf(definition);
  if (old && approvalOf(old).state === state) return;
  const field = `metadata.annotations[${APPROVAL}]`;
  if (state === 'missing') yield required(field, text);
  if (state === 'invalid') yield invalid(field, value, text);
}

export interface Approval {
  value: string;
  state: 'missing' | 'bypassed' | 'approved' | 'invalid';
  /** In upstream's words, which are also those of the condition that is made of it. */
  text: string;
}

export function approvalOf({ metadata }: CustomResourceDefinition): Approval {
  const value = metadata.annotations?.[APPROVAL] ?? '';
  const wanted = `protected groups must have approval annotation "${APPROVAL}"`;
  if (value === '') return { value, state: 'missing', text: `${wanted}, ${APPROVAL_WHERE}` };
  if (value.startsWith('unapproved')) return { value, state: 'bypassed', text: `not approved: ${formatValue(value)}` };
  if (URL.canParse(value) && /^[a-z][a-z0-9+.-]*:\/\/[^/?#]/i.test(value)) {
    return { value, state: 'approved', text: `approved in ${value}` };
  }
  const text = `${wanted} with either a URL or a reason starting with "unapproved", ${APPROVAL_WHERE}`;
  return { value, state: 'invalid', text };
}
