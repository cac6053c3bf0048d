// PodSecurity: pods are held to the level that their namespace asks for; templates of pods and pods that are there already
// are only warned about.
import { errors } from '../../../api/errors.ts';
import type { KubeObject } from '../../../api/object.ts';
import type { Namespace, Pod, PodSpec } from '../../../api/types/core-v1.ts';
import type { AdmissionPlugin, AdmissionRequest } from '../chain.ts';
import type { Lookup } from '../lookup.ts';
import { detailText, type PodMeta, reasonText, type Violation, violations } from './evaluate.ts';
import {
  compareLevels,
  isPrivileged,
  labelOf,
  type LevelVersion,
  levelText,
  MODES,
  type Policy,
  policyOf,
  PRIVILEGED_POLICY,
  sameLevel,
} from './levels.ts';
import { createPodSecurityMetrics, type PodSecurityMetrics } from './metrics.ts';
import { containersOf } from './words.ts';

export interface PodSecurityOptions {
  /** What namespaces without labels get. Default: privileged, latest. */
  defaults?: Policy;
  /** Who is not looked at. */
  exemptions?: {
    usernames?: readonly string[];
    namespaces?: readonly string[];
    runtimeClasses?: readonly string[];
  };
  metrics?: PodSecurityMetrics;
}

/** Pods of a namespace that are looked at when its level changes. */
const MAX_PODS = 3000;
const AUDIT_PREFIX = 'pod-security.kubernetes.io/';
/** Any other subresource of a pod brings a whole pod. */
const IGNORED_SUBRESOURCES = new Set([
  'exec',
  'attach',
  'binding',
  'eviction',
  'log',
  'portforward',
  'proxy',
  'status',
]);
const CONTROLLERS = new Set([
  'replicationcontrollers',
  'podtemplates',
  'replicasets.apps',
  'deployments.apps',
  'statefulsets.apps',
  'daemonsets.apps',
  'jobs.batch',
  'cronjobs.batch',
]);

const nameOf = ({ kind }: AdmissionRequest) => (kind.group ? `${kind.resource}.${kind.group}` : kind.resource);

export function podSecurity(lookup: Lookup, options: PodSecurityOptions = {}): AdmissionPlugin {
  const defaults = options.defaults ?? PRIVILEGED_POLICY;
  const metrics = options.metrics ?? createPodSecurityMetrics();
  const { usernames = [], namespaces = [], runtimeClasses = [] } = options.exemptions ?? {};

  function checkNamespace(request: AdmissionRequest): void | Promise<void> {
    const { object, old, operation, name } = request;
    const { policy, problems } = policyOf(object?.metadata.labels, defaults);
    const before = operation === 'UPDATE' ? policyOf(old?.metadata.labels, defaults) : undefined;
    // Labels that were bad before may stay so.
    const isNews = !before || JSON.stringify(before.problems) !== JSON.stringify(problems);
    if (problems.length > 0 && isNews) throw errors.invalid({ group: '', kind: 'Namespace' }, name, problems);
    if (namespaces.includes(name)) {
      const text = exemptionText(name, policy, object as Namespace & KubeObject, defaults);
      if (text) request.warn(text);
      return;
    }
    const { enforce } = policy;
    if (!before || isPrivileged(enforce) || sameLevel(enforce, before.policy.enforce)) return;
    const isRelaxed =
      enforce.version === before.policy.enforce.version &&
      compareLevels(enforce.level, before.policy.enforce.level) <= 0;
    if (!isRelaxed) return warnOfPods(request, enforce);
  }

  async function warnOfPods(request: AdmissionRequest, enforce: LevelVersion): Promise<void> {
    const pods = await lookup.list<Pod & KubeObject>('', 'pods', request.name);
    const byReason = new Map<string, string[]>();
    for (const { spec, metadata } of pods.slice(0, MAX_PODS)) {
      if (!spec || runtimeClasses.includes(spec.runtimeClassName ?? '')) continue;
      const found = violations(enforce, spec, metadata);
      if (found.length === 0) continue;
      const reason = reasonText(found);
      byReason.set(reason, [...(byReason.get(reason) ?? []), metadata.name as string]);
    }
    if (pods.length > MAX_PODS) {
      request.warn(
        `new PodSecurity enforce level only checked against the first ${MAX_PODS} of ${pods.length} existing pods`,
      );
    }
    if (byReason.size === 0) return;
    request.warn(
      `existing pods in namespace ${JSON.stringify(request.name)} violate the new PodSecurity enforce level ${JSON.stringify(levelText(enforce))}`,
    );
    const lines = [...byReason].map(([reason, names]) => {
      const [first] = names.sort();
      const others = names.length - 1;
      const more = others === 0 ? '' : others === 1 ? ' (and 1 other pod)' : ` (and ${others} other pods)`;
      return `${first}${more}: ${reason}`;
    });
    for (const line of lines.sort()) request.warn(line);
  }

  async function checkPods(request: AdmissionRequest, spec: PodSpec, meta: PodMeta, enforces: boolean): Promise<void> {
    const namespace = await lookup.find<Namespace & KubeObject>('', 'namespaces', '', request.namespace);
    if (!namespace) throw errors.internal(`failed to lookup namespace ${request.namespace}`);
    const { policy, problems } = policyOf(namespace.metadata.labels, defaults);
    const idle = MODES.every((mode) => isPrivileged(policy[mode]) || (mode === 'enforce' && !enforces));
    if (idle && problems.length === 0) {
      if (enforces) metrics.evaluated(true, policy.enforce, 'enforce', request);
      return;
    }
    if (runtimeClasses.includes(spec.runtimeClassName ?? '')) return exempt(request, 'runtimeClass');
    if (problems.length > 0) {
      const text = problems.map((each) => `${each.field}: ${each.body}`).join(', ');
      annotate(request, 'error', `Failed to parse policy: ${text}`);
      metrics.failed(false, request);
    }
    const known = new Map<string, Violation[]>();
    const judge = (level: LevelVersion) => {
      const key = levelText(level);
      let found = known.get(key);
      if (!found) known.set(key, (found = violations(level, spec, meta)));
      return found;
    };
    const audited = judge(policy.audit);
    if (audited.length > 0) {
      const level = JSON.stringify(levelText(policy.audit));
      metrics.evaluated(false, policy.audit, 'audit', request);
      annotate(request, 'audit-violations', `would violate PodSecurity ${level}: ${detailText(audited)}`);
    }
    if (enforces) {
      annotate(request, 'enforce-policy', levelText(policy.enforce));
      const found = judge(policy.enforce);
      metrics.evaluated(found.length === 0, policy.enforce, 'enforce', request);
      if (found.length > 0) {
        const level = JSON.stringify(levelText(policy.enforce));
        throw errors.forbidden(
          { group: '', resource: 'pods' },
          request.name,
          `violates PodSecurity ${level}: ${detailText(found)}`,
        );
      }
    }
    const warned = judge(policy.warn);
    if (warned.length === 0) return;
    metrics.evaluated(false, policy.warn, 'warn', request);
    request.warn(`would violate PodSecurity ${JSON.stringify(levelText(policy.warn))}: ${detailText(warned)}`);
  }

  function exempt(request: AdmissionRequest, by: string): void {
    metrics.exempted(request);
    annotate(request, 'exempt', by);
  }

  return {
    name: 'PodSecurity',
    handles(kind, subresource, operation) {
      if (operation !== 'CREATE' && operation !== 'UPDATE') return false;
      if (kind.group === '' && kind.resource === 'pods') return !IGNORED_SUBRESOURCES.has(subresource);
      if (subresource !== '') return false;
      const name = kind.group ? `${kind.resource}.${kind.group}` : kind.resource;
      return name === 'namespaces' || CONTROLLERS.has(name);
    },
    validate(request) {
      const name = nameOf(request);
      if (name === 'namespaces') return checkNamespace(request);
      if (namespaces.includes(request.namespace)) return exempt(request, 'namespace');
      if (usernames.includes(request.user.name)) return exempt(request, 'user');
      if (name === 'pods') {
        const pod = request.object as Pod & KubeObject;
        if (!pod.spec) return;
        if (request.operation === 'UPDATE' && !isSignificant(pod, request.old as Pod & KubeObject)) return;
        return checkPods(request, pod.spec, pod.metadata, true);
      }
      const template = templateOf(name, request.object as KubeObject);
      if (template?.spec) return checkPods(request, template.spec, template.metadata ?? {}, false);
    },
  };
}

const annotate = (request: AdmissionRequest, key: string, value: string) =>
  request.annotate?.(`${AUDIT_PREFIX}${key}`, value);

interface Template {
  metadata?: PodMeta;
  spec?: PodSpec;
}

function templateOf(name: string, object: KubeObject): Template | undefined {
  if (name === 'podtemplates') return (object as { template?: Template }).template;
  const { spec } = object as { spec?: { template?: Template; jobTemplate?: { spec?: { template?: Template } } } };
  return name === 'cronjobs.batch' ? spec?.jobTemplate?.spec?.template : spec?.template;
}

/** What may change in a pod and matters here: images, added ephemeral containers, seccomp in annotations. */
function isSignificant(pod: Pod & KubeObject, old: Pod & KubeObject): boolean {
  const note = (of: Pod & KubeObject, key: string) => of.metadata.annotations?.[key];
  const seccomp = 'seccomp.security.alpha.kubernetes.io/pod';
  if (note(pod, seccomp) !== note(old, seccomp)) return true;
  const before = new Map((old.spec ? containersOf(old.spec) : []).map((each) => [each.name, each.image]));
  const now = pod.spec ? containersOf(pod.spec) : [];
  if (now.length !== before.size) return true;
  return now.some((each) => {
    const key = `container.seccomp.security.alpha.kubernetes.io/${each.name}`;
    return !before.has(each.name) || before.get(each.name) !== each.image || note(pod, key) !== note(old, key);
  });
}

function exemptionText(name: string, policy: Policy, namespace: Namespace & KubeObject, defaults: Policy) {
  const labels = namespace.metadata.labels ?? {};
  if (MODES.every((mode) => isPrivileged(policy[mode]) || sameLevel(policy[mode], defaults[mode]))) return undefined;
  const said = MODES.filter(
    (mode) =>
      !isPrivileged(policy[mode]) &&
      (labels[labelOf(mode)] !== undefined || labels[labelOf(mode, '-version')] !== undefined),
  ).map((mode) => `${mode}=${levelText(policy[mode])}`);
  return `namespace ${JSON.stringify(name)} is exempt from Pod Security, and the policy (${said.join(', ')}) will be ignored`;
}
