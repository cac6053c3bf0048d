// The default chain: every plugin that kube-apiserver enables by default, in its order, and the optional ones by name.
import type { KubeObject } from '../../api/object.ts';
import type { Kind } from '../../api/kind.ts';
import type { Namespace, Service } from '../../api/types/core-v1.ts';
import type { EndpointSlice } from '../../api/types/discovery-v1.ts';
import type { PriorityClass } from '../../api/types/scheduling-v1.ts';
import type { LimitedResource } from '../../api/quota/limited.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { MetricsRegistry } from '../../lib/metrics.ts';
import { type Follower, follow } from '../auth/follow.ts';
import type { Attributes, Authorizer } from '../auth/identity.ts';
import type { Registry } from '../registry/registry.ts';
import { WebhookClient } from '../webhooks/client.ts';
import type { CredentialsOf } from '../webhooks/credentials.ts';
import { serviceAddress } from '../webhooks/resolve.ts';
import type { AdmissionPlugin } from './chain.ts';
import { defaultIngressClass, defaultStorageClass } from './default-classes.ts';
import { defaultTolerationSeconds } from './default-toleration-seconds.ts';
import { limitRanger } from './limit-ranger.ts';
import { OPTIONAL_PLUGINS, type OptionalPlugin, optionalPlugin } from './optional.ts';
import { registryLookup } from './lookup.ts';
import { webhookConditions } from './match-conditions.ts';
import { namespaceLifecycle } from './namespace-lifecycle.ts';
import { nodeRestriction } from './node-restriction.ts';
import { createPodSecurityMetrics } from './pod-security/metrics.ts';
import { type PodSecurityOptions, podSecurity } from './pod-security/plugin.ts';
import type { EventLimit } from './event-rate-limit.ts';
import { podTopologyLabels, taintNodesByCondition } from './nodes.ts';
import { admissionPolicies } from './policy/index.ts';
import { priorityAdmission } from './priority.ts';
import { resourceQuota } from './quota/plugin.ts';
import { runtimeClassAdmission } from './runtime-class.ts';
import { serviceAccountAdmission } from './service-account.ts';
import { persistentVolumeClaimResize, storageObjectInUseProtection } from './storage.ts';
import { mutatingWebhooks, validatingWebhooks } from './webhooks/dispatch.ts';
import { HookIndex } from './webhooks/hook-index.ts';
import { createWebhookMetrics } from './webhook-metrics.ts';

export interface AdmissionOptions {
  registry: Registry;
  /** What expressions of policies and match conditions ask. */
  authorizer: Authorizer;
  /** CertificateApproval, CertificateSigning, CertificateSubjectRestriction. */
  certificates?: readonly AdmissionPlugin[];
  podSecurity?: PodSecurityOptions | undefined;
  /** What is consumed only where a quota covers it. */
  limitedResources?: readonly LimitedResource[] | undefined;
  /** Of EventRateLimit. */
  eventLimits?: readonly EventLimit[] | undefined;
  /** What the server shows webhooks of who it is. Default: nothing. */
  webhookCredentials?: Partial<Record<'mutating' | 'validating', CredentialsOf>> | undefined;
  /** Names of optional plugins to run, and of default ones not to. Unknown names are errors. */
  enable?: readonly string[] | undefined;
  disable?: readonly string[] | undefined;
  /** Run after the webhooks and before quotas are charged. */
  more?: readonly AdmissionPlugin[];
  /** Where an address of a service is really reached. Default: there. */
  egress?: ((to: { host: string; port: number }) => { host: string; port: number }) | undefined;
  clock: Clock;
  random: Random;
  /** Default: counted for nobody. */
  metrics?: MetricsRegistry;
}

export interface Admission {
  plugins: readonly AdmissionPlugin[];
  /** Calls webhooks of all sorts, conversion ones too. */
  client: WebhookClient;
  /** Keeps the indexes of webhooks and policies in step with their configurations. */
  follow(how: { signal: AbortSignal; clock: Clock; log: Logger }): Follower[];
  close(): void;
}

const GROUP = 'admissionregistration.k8s.io';

export function composeAdmission(options: AdmissionOptions): Admission {
  const { registry, random } = options;
  const { scheme, caches } = registry.context;
  const lookup = registryLookup(registry);
  const findNamespace = (name: string) => lookup.find<Namespace & KubeObject>('', 'namespaces', '', name);
  const client = new WebhookClient({
    async resolve(namespace, name, port) {
      const service = await lookup.find<Service & KubeObject>('', 'services', namespace, name);
      const all = await lookup.list<EndpointSlice & KubeObject>('discovery.k8s.io', 'endpointslices', namespace);
      const slices = all.filter((each) => each.metadata.labels?.['kubernetes.io/service-name'] === name);
      const address = serviceAddress(name, port, { service, slices }, random);
      return options.egress ? options.egress(address) : address;
    },
  });
  const compile = webhookConditions(() => options.authorizer);
  const mutating = new HookIndex({ scheme, compile });
  const validating = new HookIndex({ scheme, compile });
  const metrics = createWebhookMetrics(options.metrics);
  const dispatch = { client, findNamespace, convert, metrics };
  const policies = admissionPolicies({
    scheme,
    lookup,
    authorizer: () => options.authorizer,
    findNamespace,
    convert,
    metrics,
  });
  const { clock, authorizer, enable = [] } = options;
  const allows = async (attributes: Attributes) => (await authorizer.authorize(attributes)).allowed;
  const optional = (name: OptionalPlugin) =>
    enable.includes(name)
      ? [optionalPlugin(name, { lookup, scheme, clock, allows, eventLimits: options.eventLimits })]
      : [];
  const all: AdmissionPlugin[] = [
    namespaceLifecycle(findNamespace),
    ...optional('LimitPodHardAntiAffinityTopology'),
    limitRanger(lookup),
    serviceAccountAdmission(lookup, { clock, random }),
    nodeRestriction(lookup),
    taintNodesByCondition,
    ...optional('AlwaysPullImages'),
    podSecurity(lookup, { metrics: createPodSecurityMetrics(options.metrics), ...options.podSecurity }),
    ...optional('PodNodeSelector'),
    priorityAdmission({
      find: (name) => lookup.find<PriorityClass & KubeObject>('scheduling.k8s.io', 'priorityclasses', '', name),
      list: () => lookup.list<PriorityClass & KubeObject>('scheduling.k8s.io', 'priorityclasses'),
    }),
    defaultTolerationSeconds,
    ...optional('EventRateLimit'),
    defaultStorageClass(lookup),
    storageObjectInUseProtection,
    ...optional('OwnerReferencesPermissionEnforcement'),
    persistentVolumeClaimResize(lookup),
    runtimeClassAdmission(lookup),
    ...(options.certificates ?? []),
    defaultIngressClass(lookup),
    podTopologyLabels(lookup),
    policies.mutating,
    mutatingWebhooks({ ...dispatch, hooks: mutating, credentials: options.webhookCredentials?.mutating }),
    policies.validating,
    validatingWebhooks({ ...dispatch, hooks: validating, credentials: options.webhookCredentials?.validating }),
    ...(options.more ?? []),
    resourceQuota({ registry, lookup, clock, limitedResources: options.limitedResources }),
  ];
  const plugins = chosen(all, enable, options.disable ?? []);
  return {
    plugins,
    client,
    follow(how) {
      const indexes: [string, HookIndex][] = [
        ['mutatingwebhookconfigurations', mutating],
        ['validatingwebhookconfigurations', validating],
      ];
      const webhooks = indexes.flatMap(([resource, index]) => {
        const kind = scheme.byGroupResource(GROUP, resource);
        return kind ? [follow(caches.of(kind), (_namespace, name, object) => index.apply(name, object), how)] : [];
      });
      return [...webhooks, ...policies.follow(caches, how)];
    },
    close: () => client.close(),
  };
}

function chosen(
  all: readonly AdmissionPlugin[],
  enable: readonly string[],
  disable: readonly string[],
): AdmissionPlugin[] {
  const known = new Set<string>([...all.map((each) => each.name), ...OPTIONAL_PLUGINS]);
  const check = (flag: string, names: readonly string[]) => {
    for (const name of names) {
      if (!known.has(name)) throw new TypeError(`${flag} plugin ${JSON.stringify(name)} is unknown`);
    }
  };
  check('enable-admission-plugins', enable);
  check('disable-admission-plugins', disable);
  const both = enable.find((each) => disable.includes(each));
  if (both) throw new TypeError(`${both} in enable-admission-plugins and disable-admission-plugins overlapped`);
  return all.filter((each) => !disable.includes(each.name));
}

/** An object of one version of a resource as one of another. */
async function convert(object: KubeObject, from: Kind, to: Kind): Promise<KubeObject> {
  const copy = structuredClone(object);
  const stored = from.conversion ? await from.conversion.toStored([copy]) : [copy];
  const converted = to.conversion ? await to.conversion.fromStored(stored) : stored;
  return converted[0] as KubeObject;
}
