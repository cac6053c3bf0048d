// The file of --authorization-config (apiserver.config.k8s.io/v1 AuthorizationConfiguration): which authorizers are asked, in which
// order, and when webhooks are asked at all. Pure but for what `readWebhook` does; errors say which field is wrong.
import { parseYamlDocuments } from '../../api/yaml.ts';
import { parseGoDuration } from '../http/deadline.ts';
import type { ReviewWebhookConfig } from './review-webhook.ts';

export type FailurePolicy = 'NoOpinion' | 'Deny';

export type ConfiguredAuthorizer =
  | { type: 'Node' | 'RBAC' | 'AlwaysAllow' | 'AlwaysDeny'; name: string }
  | { type: 'Webhook'; name: string; webhook: ConfiguredWebhook };

export interface ConfiguredWebhook {
  connection: ReviewWebhookConfig;
  timeoutMs: number;
  allowedMs: number;
  refusedMs: number;
  failurePolicy: FailurePolicy;
  /** CEL over `request`, a SubjectAccessReviewSpec. All must hold for the webhook to be asked. */
  matchConditions: readonly string[];
}

const TYPES = ['Node', 'RBAC', 'Webhook', 'AlwaysAllow', 'AlwaysDeny'];
const VERSIONS = ['v1', 'v1beta1', 'v1alpha1'].map((version) => `apiserver.config.k8s.io/${version}`);
const MAX_CONDITIONS = 64;

type Fields = Record<string, unknown>;

/** `readWebhook`: of a kubeconfig file. Throws with the path of the field that is wrong. */
export function parseAuthorizationConfig(
  text: string,
  readWebhook: (file: string) => ReviewWebhookConfig,
): ConfiguredAuthorizer[] {
  const documents = parseYamlDocuments(text);
  const root = record(documents[0]?.value, 'the configuration', ['apiVersion', 'kind', 'authorizers']);
  if (root['kind'] !== 'AuthorizationConfiguration' || !VERSIONS.includes(String(root['apiVersion']))) {
    throw new Error('expected apiVersion apiserver.config.k8s.io/v1, kind AuthorizationConfiguration');
  }
  const entries = root['authorizers'];
  if (!Array.isArray(entries) || entries.length === 0) {
    throw new Error('authorizers: Required value: at least one authorization mode must be defined');
  }
  const found: ConfiguredAuthorizer[] = [];
  for (const [i, entry] of entries.entries()) {
    const at = `authorizers[${i}]`;
    const fields = record(entry, at, ['type', 'name', 'webhook']);
    const type = text1(fields, 'type', at);
    if (!TYPES.includes(type)) {
      const supported = TYPES.map((each) => JSON.stringify(each)).join(', ');
      throw new Error(`${at}.type: Unsupported value: ${JSON.stringify(type)}: supported values: ${supported}`);
    }
    const name = text1(fields, 'name', at);
    if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) || name.length > 253) {
      throw new Error(`${at}.name: Invalid value: ${JSON.stringify(name)}: authorizer name is invalid`);
    }
    if (found.some((each) => each.name === name))
      throw new Error(`${at}.name: Duplicate value: ${JSON.stringify(name)}`);
    if (type === 'Webhook') {
      if (fields['webhook'] === undefined) throw new Error(`${at}.webhook: Required value: required when type=Webhook`);
      found.push({ type, name, webhook: parseWebhook(fields['webhook'], `${at}.webhook`, readWebhook) });
      continue;
    }
    if (fields['webhook'] !== undefined) {
      throw new Error(`${at}.webhook: Invalid value: "non-null": may only be specified when type=Webhook`);
    }
    if (found.some((each) => each.type === type))
      throw new Error(`${at}.type: Duplicate value: ${JSON.stringify(type)}`);
    found.push({ type: type as 'Node', name });
  }
  return found;
}

function parseWebhook(
  value: unknown,
  at: string,
  readWebhook: (file: string) => ReviewWebhookConfig,
): ConfiguredWebhook {
  const fields = record(value, at, [
    'timeout',
    'authorizedTTL',
    'unauthorizedTTL',
    'cacheAuthorizedRequests',
    'cacheUnauthorizedRequests',
    'subjectAccessReviewVersion',
    'matchConditionSubjectAccessReviewVersion',
    'failurePolicy',
    'connectionInfo',
    'matchConditions',
  ]);
  const duration = (name: string, standard?: number): number => {
    const text = fields[name];
    if (text === undefined && standard !== undefined) return standard;
    const ms = typeof text === 'string' ? parseGoDuration(text) : 0;
    if (text === undefined) throw new Error(`${at}.${name}: Required value`);
    if (typeof ms === 'string' || ms <= 0) {
      throw new Error(`${at}.${name}: Invalid value: ${JSON.stringify(text)}: must be > 0s`);
    }
    return ms;
  };
  const timeoutMs = duration('timeout');
  if (timeoutMs > 30_000)
    throw new Error(`${at}.timeout: Invalid value: ${JSON.stringify(fields['timeout'])}: must be <= 30s`);
  const one = (name: string, supported: readonly string[]) => {
    const given = text1(fields, name, at);
    if (supported.includes(given)) return given;
    const list = supported.map((each) => JSON.stringify(each)).join(', ');
    throw new Error(`${at}.${name}: Unsupported value: ${JSON.stringify(given)}: supported values: ${list}`);
  };
  const conditions = fields['matchConditions'] ?? [];
  if (!Array.isArray(conditions)) throw new Error(`${at}.matchConditions: must be a list`);
  one('subjectAccessReviewVersion', ['v1']);
  if (conditions.length > 0) one('matchConditionSubjectAccessReviewVersion', ['v1']);
  const failurePolicy = one('failurePolicy', ['NoOpinion', 'Deny']) as FailurePolicy;
  const info = record(fields['connectionInfo'] ?? {}, `${at}.connectionInfo`, ['type', 'kubeConfigFile']);
  const type = text1(info, 'type', `${at}.connectionInfo`);
  if (type !== 'KubeConfigFile') {
    throw new Error(
      `${at}.connectionInfo.type: Unsupported value: ${JSON.stringify(type)}: supported values: "KubeConfigFile"`,
    );
  }
  const file = text1(info, 'kubeConfigFile', `${at}.connectionInfo`);
  if (!file.startsWith('/')) {
    throw new Error(
      `${at}.connectionInfo.kubeConfigFile: Invalid value: ${JSON.stringify(file)}: must be an absolute path`,
    );
  }
  if (conditions.length > MAX_CONDITIONS)
    throw new Error(`${at}.matchConditions: Too many: must have at most 64 items`);
  const keeps = (name: string) => fields[name] !== false;
  return {
    connection: readWebhook(file),
    timeoutMs,
    allowedMs: keeps('cacheAuthorizedRequests') ? duration('authorizedTTL', 5 * 60_000) : 0,
    refusedMs: keeps('cacheUnauthorizedRequests') ? duration('unauthorizedTTL', 30_000) : 0,
    failurePolicy,
    matchConditions: conditions.map((each, i) =>
      text1(record(each, `${at}.matchConditions[${i}]`, ['expression']), 'expression', `${at}.matchConditions[${i}]`),
    ),
  };
}

function text1(fields: Fields, name: string, at: string): string {
  const value = fields[name];
  if (typeof value !== 'string' || value === '') throw new Error(`${at}.${name}: Required value`);
  return value;
}

function record(value: unknown, at: string, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${at}: must be an object`);
  const unknown = Object.keys(value).find((each) => !known.includes(each));
  if (unknown !== undefined) throw new Error(`${at}: unknown field ${JSON.stringify(unknown)}`);
  return value as Fields;
}
