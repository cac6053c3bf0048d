// What PodSecurity decided, under upstream's names (k8s.io/pod-security-admission/metrics).
import { MetricsRegistry } from '../../../lib/metrics.ts';
import type { AdmissionRequest } from '../chain.ts';
import { isPrivileged, type LevelVersion } from './levels.ts';

export interface PodSecurityMetrics {
  evaluated(
    allowed: boolean,
    policy: LevelVersion,
    mode: 'enforce' | 'audit' | 'warn',
    request: AdmissionRequest,
  ): void;
  exempted(request: AdmissionRequest): void;
  failed(isFatal: boolean, request: AdmissionRequest): void;
}

/** The newest minor version of the rules. */
const NEWEST = 36;
const OF_REQUEST = ['request_operation', 'resource', 'subresource'];

export function createPodSecurityMetrics(registry = new MetricsRegistry()): PodSecurityMetrics {
  const evaluations = registry.counter({
    name: 'pod_security_evaluations_total',
    help: 'Number of policy evaluations that occurred, not counting ignored or exempt requests.',
    labels: ['decision', 'policy_level', 'policy_version', 'mode', ...OF_REQUEST, 'ocp_namespace'],
  });
  const exemptions = registry.counter({
    name: 'pod_security_exemptions_total',
    help: 'Number of exempt requests, not counting ignored or out of scope requests.',
    labels: OF_REQUEST,
  });
  const failures = registry.counter({
    name: 'pod_security_errors_total',
    help: 'Number of errors preventing normal evaluation. Non-fatal errors may result in the latest restricted profile being used for evaluation.',
    labels: ['fatal', ...OF_REQUEST],
  });
  // There from the start, as upstream has them.
  for (const operation of ['create', 'update']) {
    evaluations.with('allow', 'privileged', 'latest', 'enforce', operation, 'pod', '', '');
    for (const resource of ['pod', 'controller']) exemptions.with(operation, resource, '');
  }
  return {
    evaluated(allowed, policy, mode, request) {
      evaluations
        .with(allowed ? 'allow' : 'deny', policy.level, versionText(policy), mode, ...labelsOf(request), '')
        .inc();
    },
    exempted(request) {
      exemptions.with(...labelsOf(request)).inc();
    },
    failed(isFatal, request) {
      failures.with(String(isFatal), ...labelsOf(request)).inc();
    },
  };
}

function versionText(policy: LevelVersion): string {
  if (policy.version === 'latest' || isPrivileged(policy)) return 'latest';
  return policy.version > NEWEST ? 'future' : `v1.${policy.version}`;
}

function labelsOf({ kind, operation, subresource }: AdmissionRequest): string[] {
  const isCore = kind.group === '';
  const resource =
    isCore && kind.resource === 'pods' ? 'pod' : isCore && kind.resource === 'namespaces' ? 'namespace' : 'controller';
  return [operation.toLowerCase(), resource, subresource];
}
