// Admission webhooks, mutating and validating: one set of rules, and where a webhook is called
// (k8s.io/kubernetes/pkg/apis/admissionregistration/validation, k8s.io/apiserver/pkg/util/webhook).
import { compileProblems, compileWebhookConditions } from '../cel/policies.ts';
import { deepEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { isDns1035Label, isDns1123Subdomain, isPortNumber } from '../names.ts';
import { validateLabelSelector } from '../selectors.ts';
import type { MutatingWebhook, ServiceReference, ValidatingWebhook } from '../types/admissionregistration-v1.ts';
import {
  defaultRules,
  FAILURE_POLICIES,
  MATCH_POLICIES,
  REINVOCATION_POLICIES,
  validateMatchConditions,
  validateRule,
} from './admission-rules.ts';
import { type Findings, optionalOneOf } from './checks.ts';

const { duplicate, invalid, notSupported, required } = fieldErrors;

export type AnyWebhook = ValidatingWebhook & Pick<MutatingWebhook, 'reinvocationPolicy'>;

const SIDE_EFFECTS = ['None', 'NoneOnDryRun', 'Some', 'Unknown'];
const NO_SIDE_EFFECTS = ['None', 'NoneOnDryRun'];
const REVIEW_VERSIONS = ['v1', 'v1beta1'];

/** In place. */
export function setWebhookDefaults(hooks: readonly AnyWebhook[] | undefined, isMutating: boolean): void {
  for (const hook of hooks ?? []) {
    hook.failurePolicy ??= 'Fail';
    hook.matchPolicy ??= 'Equivalent';
    hook.namespaceSelector ??= {};
    hook.objectSelector ??= {};
    hook.timeoutSeconds ??= 10;
    if (isMutating) hook.reinvocationPolicy ??= 'Never';
    defaultRules(hook.rules);
    if (hook.clientConfig?.service) hook.clientConfig.service.port ??= 443;
  }
}

/** With `old`, what the stored configuration already had is tolerated, as upstream does. */
export function validateWebhooks(hooks: readonly AnyWebhook[], old?: readonly AnyWebhook[]): FieldError[] {
  const sameConditions =
    old?.length === hooks.length &&
    hooks.every((hook, i) => deepEqual(hook.matchConditions ?? [], old[i]?.matchConditions ?? []));
  return [
    ...findings(hooks, {
      sideEffects: (old ?? []).every((each) => NO_SIDE_EFFECTS.includes(each.sideEffects))
        ? NO_SIDE_EFFECTS
        : SIDE_EFFECTS,
      needsKnownVersion: (old ?? []).every(
        (each) => each.admissionReviewVersions.length === 0 || isKnown(each.admissionReviewVersions),
      ),
      uniqueNames: new Set((old ?? []).map((each) => each.name)).size === (old ?? []).length,
      anyLabelValue: (old ?? []).some((each) => [...selectors(each, '', false)].length > 0),
      skipConditions: sameConditions,
    }),
  ];
}

interface Options {
  sideEffects: readonly string[];
  needsKnownVersion: boolean;
  uniqueNames: boolean;
  anyLabelValue: boolean;
  skipConditions: boolean;
}

const isKnown = (versions: readonly string[]) => versions.some((each) => REVIEW_VERSIONS.includes(each));

function* findings(hooks: readonly AnyWebhook[], options: Options): Findings {
  const names = new Set<string>();
  for (const [i, hook] of hooks.entries()) {
    const field = `webhooks[${i}]`;
    yield* webhook(hook, field, options);
    yield* reviewVersions(hook.admissionReviewVersions ?? [], `${field}.admissionReviewVersions`, options);
    if (options.uniqueNames && hook.name) {
      if (names.has(hook.name)) yield duplicate(`${field}.name`, hook.name);
      names.add(hook.name);
    }
  }
}

function* webhook(hook: AnyWebhook, field: string, options: Options): Findings {
  yield* fullyQualifiedName(hook.name ?? '', `${field}.name`);
  for (const [i, rule] of (hook.rules ?? []).entries()) yield* validateRule(rule, `${field}.rules[${i}]`);
  yield* optionalOneOf(hook.failurePolicy, FAILURE_POLICIES, `${field}.failurePolicy`);
  yield* optionalOneOf(hook.matchPolicy, MATCH_POLICIES, `${field}.matchPolicy`);
  if (!hook.sideEffects) {
    yield required(`${field}.sideEffects`, `must specify one of ${options.sideEffects.join(', ')}`);
  } else if (!options.sideEffects.includes(hook.sideEffects)) {
    yield notSupported(`${field}.sideEffects`, hook.sideEffects, options.sideEffects);
  }
  const timeout = hook.timeoutSeconds;
  if (timeout !== undefined && (timeout > 30 || timeout < 1)) {
    yield invalid(`${field}.timeoutSeconds`, timeout, 'the timeout value must be between 1 and 30 seconds');
  }
  yield* selectors(hook, `${field}.`, options.anyLabelValue);
  yield* optionalOneOf(hook.reinvocationPolicy, REINVOCATION_POLICIES, `${field}.reinvocationPolicy`);
  const { url, service } = hook.clientConfig ?? {};
  if ((url === undefined) === (service === undefined)) {
    yield required(`${field}.clientConfig`, 'exactly one of url or service is required');
  } else if (url !== undefined) yield* validateWebhookUrl(url, `${field}.clientConfig.url`);
  else if (service) yield* validateWebhookService(service, `${field}.clientConfig.service`);
  if (!options.skipConditions) {
    const at = `${field}.matchConditions`;
    const problems = compileProblems(compileWebhookConditions(hook.matchConditions, at));
    yield* validateMatchConditions(hook.matchConditions, at, problems);
  }
}

function* selectors(hook: AnyWebhook, prefix: string, allowInvalidValues: boolean): Findings {
  for (const name of ['namespaceSelector', 'objectSelector'] as const) {
    yield* validateLabelSelector(hook[name], `${prefix}${name}`, { allowInvalidValues });
  }
}

function* reviewVersions(versions: readonly string[], field: string, { needsKnownVersion }: Options): Findings {
  if (versions.length === 0) {
    yield required(field, `must specify one of ${REVIEW_VERSIONS.join(', ')}`);
    return;
  }
  for (const [i, version] of versions.entries()) {
    if (versions.indexOf(version) < i) yield invalid(`${field}[${i}]`, version, 'duplicate version');
    else for (const text of isDns1035Label(version)) yield invalid(`${field}[${i}]`, version, text);
  }
  if (needsKnownVersion && !isKnown(versions)) {
    yield invalid(field, versions, `must include at least one of ${REVIEW_VERSIONS.join(', ')}`);
  }
}

/** A domain of three or more segments: `policy.example.com`. */
function* fullyQualifiedName(name: string, field: string): Findings {
  if (!name) {
    yield required(field);
    return;
  }
  const texts = isDns1123Subdomain(name);
  if (texts.length > 0) yield invalid(field, name, texts.join(','));
  else if (name.split('.').length < 3) {
    yield invalid(field, name, 'should be a domain with at least three segments separated by dots');
  }
}

const URL_FORM = '; desired format: https://host[/path]';

export function* validateWebhookUrl(text: string, field: string): Findings {
  // Go parses what has no scheme, or no host; the URL class does not.
  const parts = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?[^?#]*(?:\?([^#]*))?(?:#(.*))?$/.exec(text);
  if (!parts || /[\s\p{Cc}]/u.test(text)) {
    yield required(
      field,
      `url must be a valid URL: parse ${JSON.stringify(text)}: invalid character in URL${URL_FORM}`,
    );
    return;
  }
  const [, scheme = '', authority = '', query = '', fragment = ''] = parts;
  const at = authority.lastIndexOf('@');
  const host = authority.slice(at + 1);
  if (scheme !== 'https') yield invalid(field, scheme, `'https' is the only allowed URL scheme${URL_FORM}`);
  if (host === '') yield invalid(field, host, `host must be specified${URL_FORM}`);
  if (at >= 0) yield invalid(field, authority.slice(0, at), `user information is not permitted in the URL${URL_FORM}`);
  if (fragment) yield invalid(field, fragment, `fragments are not permitted in the URL${URL_FORM}`);
  if (query) yield invalid(field, query, `query parameters are not permitted in the URL${URL_FORM}`);
}

export function* validateWebhookService(service: ServiceReference, field: string): Findings {
  const { name, namespace, path, port = 443 } = service;
  if (!name) yield required(`${field}.name`, 'service name is required');
  if (!namespace) yield required(`${field}.namespace`, 'service namespace is required');
  const texts = isPortNumber(port);
  if (texts.length > 0) yield invalid(`${field}.port`, port, `port is not valid: ${texts.join(',')}`);
  if (path === undefined || path === '/') return;
  if (path === '//') {
    yield invalid(`${field}.path`, path, 'segment[0] may not be empty');
    return;
  }
  if (!path.startsWith('/')) yield invalid(`${field}.path`, path, "must start with a '/'");
  for (const [i, step] of path.slice(1).replace(/\/$/, '').split('/').entries()) {
    if (!step) yield invalid(`${field}.path`, path, `segment[${i}] may not be empty`);
    else for (const text of isDns1123Subdomain(step)) yield invalid(`${field}.path`, path, `segment[${i}]: ${text}`);
  }
}
