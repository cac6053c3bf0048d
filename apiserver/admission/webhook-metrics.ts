// What webhooks, policies and their match conditions did, under upstream's names (k8s.io/apiserver/pkg/admission/metrics and
// admission/plugin/policy/validating/metrics). Asked only when somebody was called or an expression failed.
import { MetricsRegistry } from '../../lib/metrics.ts';

export type WebhookStep = 'admit' | 'validating';
export type PolicyStep = 'admit' | 'validate';
export type RejectionCause = 'calling_webhook_error' | 'apiserver_internal_error' | 'no_error';
export type PolicyErrorType = 'compile_error' | 'invalid_error' | 'out_of_budget' | 'no_error';

/** Of what has match conditions: the webhook or policy. */
export interface ConditionOwner {
  name: string;
  kind: 'webhook' | 'policy';
  type: string;
}

export interface WebhookMetrics {
  /** `code`: of the HTTP answer, or of the refusal; 0 where there is none. */
  called(name: string, type: WebhookStep, operation: string, rejected: boolean, code: number, seconds: number): void;
  rejected(name: string, type: WebhookStep, operation: string, cause: RejectionCause, code: number): void;
  failedOpen(name: string, type: WebhookStep): void;
  conditions(
    owner: ConditionOwner,
    operation: string,
    outcome: { matches: boolean; error?: string },
    seconds: number,
  ): void;
  /** A validation that did not hold, by what was done about it; `allow`: an error that the policy ignores. */
  policyChecked(
    policy: string,
    binding: string,
    errorType: PolicyErrorType,
    action: 'allow' | 'deny' | 'audit' | 'warn',
    seconds: number,
  ): void;
}

const SECONDS = [0.005, 0.025, 0.1, 0.5, 1, 2.5];
const PREFIX = 'apiserver_admission_';

export function createWebhookMetrics(registry = new MetricsRegistry()): WebhookMetrics {
  const duration = registry.histogram({
    name: `${PREFIX}webhook_admission_duration_seconds`,
    help: 'Admission webhook latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).',
    labels: ['name', 'type', 'operation', 'rejected'],
    stability: 'STABLE',
    buckets: [...SECONDS, 10, 25],
  });
  const rejections = registry.counter({
    name: `${PREFIX}webhook_rejection_count`,
    help: 'Admission webhook rejection count, identified by name and broken out for each admission type (validating or admit) and operation. Additional labels specify an error type (calling_webhook_error or apiserver_internal_error if an error occurred; no_error otherwise) and optionally a non-zero rejection code if the webhook rejects the request with an HTTP status code (honored by the apiserver when the code is greater or equal to 400). Codes greater than 600 are truncated to 600, to keep the metrics cardinality bounded.',
    labels: ['name', 'type', 'operation', 'error_type', 'rejection_code'],
  });
  const failOpen = registry.counter({
    name: `${PREFIX}webhook_fail_open_count`,
    help: 'Admission webhook fail open count, identified by name and broken out for each admission type (validating or mutating).',
    labels: ['name', 'type'],
  });
  const requests = registry.counter({
    name: `${PREFIX}webhook_request_total`,
    help: 'Admission webhook request total, identified by name and broken out for each admission type (validating or mutating) and operation. Additional labels specify whether the request was rejected or not and an HTTP status code. Codes greater than 600 are truncated to 600, to keep the metrics cardinality bounded.',
    labels: ['name', 'type', 'operation', 'code', 'rejected'],
  });
  const of = ['name', 'kind', 'type', 'operation'];
  const text =
    'identified by name of resource containing the match condition and broken out for each kind containing matchConditions (webhook or policy), operation and';
  const conditionErrors = registry.counter({
    name: `${PREFIX}match_condition_evaluation_errors_total`,
    help: `Admission match condition evaluation errors count, ${text} admission type (validate or admit).`,
    labels: of,
  });
  const exclusions = registry.counter({
    name: `${PREFIX}match_condition_exclusions_total`,
    help: `Admission match condition evaluation exclusions count, ${text} admission type (validate or admit).`,
    labels: of,
  });
  const conditionSeconds = registry.histogram({
    name: `${PREFIX}match_condition_evaluation_seconds`,
    help: `Admission match condition evaluation time in seconds, identified by name and broken out for each kind containing matchConditions (webhook or policy), operation and type (validate or admit).`,
    labels: of,
    buckets: SECONDS,
  });
  const ofPolicy = ['policy', 'policy_binding', 'error_type', 'enforcement_action'];
  const checks = registry.counter({
    name: 'apiserver_validating_admission_policy_check_total',
    help: 'Validation admission policy check total, labeled by policy and further identified by binding and enforcement action taken.',
    labels: ofPolicy,
    stability: 'BETA',
  });
  const checkSeconds = registry.histogram({
    name: 'apiserver_validating_admission_policy_check_duration_seconds',
    help: 'Validation admission latency for individual validation expressions in seconds, labeled by policy and further including binding and enforcement action taken.',
    labels: ofPolicy,
    stability: 'BETA',
    buckets: [0.0000005, 0.001, 0.01, 0.1, 1],
  });
  return {
    called(name, type, operation, rejected, code, seconds) {
      requests.with(name, type, operation, codeText(code), String(rejected)).inc();
      duration.with(name, type, operation, String(rejected)).observe(seconds);
    },
    rejected(name, type, operation, cause, code) {
      rejections.with(name, type, operation, cause, codeText(code)).inc();
    },
    failedOpen(name, type) {
      failOpen.with(name, type).inc();
    },
    conditions({ name, kind, type }, operation, { matches, error }, seconds) {
      conditionSeconds.with(name, kind, type, operation).observe(seconds);
      if (error !== undefined) conditionErrors.with(name, kind, type, operation).inc();
      else if (!matches) exclusions.with(name, kind, type, operation).inc();
    },
    policyChecked(policy, binding, errorType, action, seconds) {
      checks.with(policy, binding, errorType, action).inc();
      checkSeconds.with(policy, binding, errorType, action).observe(seconds);
    },
  };
}

const codeText = (code: number) => String(Math.min(code, 600));
