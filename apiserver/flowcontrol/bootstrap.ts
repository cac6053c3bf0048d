// The FlowSchemas and PriorityLevelConfigurations that a server makes: the mandatory ones, which are always as they are here, and
// the suggested ones, which administrators may take over. As a kube-apiserver 1.36 has them. Pure data.
import type {
  FlowSchema,
  NonResourcePolicyRule,
  PriorityLevelConfiguration,
  ResourcePolicyRule,
  Subject,
} from '../../api/types/flowcontrol-v1.ts';

/** On objects whose spec the server keeps up to date: "true" or "false". */
export const AUTO_UPDATE = 'apf.kubernetes.io/autoupdate-spec';

export const MANDATORY: ReadonlySet<string> = new Set(['exempt', 'catch-all']);

const group = (name: string): Subject => ({ kind: 'Group', group: { name } });
const user = (name: string): Subject => ({ kind: 'User', user: { name } });
const KUBE_SYSTEM: Subject = { kind: 'ServiceAccount', serviceAccount: { namespace: 'kube-system', name: '*' } };
const EVERYONE = [group('system:unauthenticated'), group('system:authenticated')];

const ANYTHING: ResourcePolicyRule = {
  verbs: ['*'],
  apiGroups: ['*'],
  resources: ['*'],
  clusterScope: true,
  namespaces: ['*'],
};
const LEASES = { apiGroups: ['coordination.k8s.io'], resources: ['leases'], namespaces: ['*'] };
const ANY_PATH: NonResourcePolicyRule = { verbs: ['*'], nonResourceURLs: ['*'] };

function flow(
  name: string,
  level: string,
  matchingPrecedence: number,
  by: 'ByUser' | 'ByNamespace' | undefined,
  subjects: Subject[],
  resourceRules: ResourcePolicyRule[] | undefined = [ANYTHING],
  nonResourceRules: NonResourcePolicyRule[] | undefined = [ANY_PATH],
): FlowSchema {
  return {
    metadata: { name, annotations: { [AUTO_UPDATE]: 'true' } },
    spec: {
      priorityLevelConfiguration: { name: level },
      matchingPrecedence,
      ...(by && { distinguisherMethod: { type: by } }),
      rules: [
        {
          subjects,
          ...(resourceRules.length > 0 && { resourceRules }),
          ...(nonResourceRules.length > 0 && { nonResourceRules }),
        },
      ],
    },
  } as FlowSchema;
}

function limited(
  name: string,
  nominalConcurrencyShares: number,
  lendablePercent: number,
  queues = 0,
  handSize = 0,
): PriorityLevelConfiguration {
  return {
    metadata: { name, annotations: { [AUTO_UPDATE]: 'true' } },
    spec: {
      type: 'Limited',
      limited: {
        nominalConcurrencyShares,
        limitResponse:
          queues > 0 ? { type: 'Queue', queuing: { queues, handSize, queueLengthLimit: 50 } } : { type: 'Reject' },
        lendablePercent,
      },
    },
  } as PriorityLevelConfiguration;
}

export const PRIORITY_LEVELS: readonly PriorityLevelConfiguration[] = [
  {
    metadata: { name: 'exempt', annotations: { [AUTO_UPDATE]: 'true' } },
    spec: { type: 'Exempt', exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } },
  } as PriorityLevelConfiguration,
  limited('catch-all', 5, 0),
  limited('system', 30, 33, 64, 6),
  limited('node-high', 40, 25, 64, 6),
  limited('leader-election', 10, 0, 16, 4),
  limited('workload-high', 40, 50, 128, 6),
  limited('workload-low', 100, 90, 128, 6),
  limited('global-default', 20, 50, 128, 6),
];

export const FLOW_SCHEMAS: readonly FlowSchema[] = [
  flow('exempt', 'exempt', 1, undefined, [group('system:masters')]),
  flow(
    'probes',
    'exempt',
    2,
    undefined,
    EVERYONE,
    [],
    [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/readyz', '/livez'] }],
  ),
  flow(
    'system-leader-election',
    'leader-election',
    100,
    'ByUser',
    [user('system:kube-controller-manager'), user('system:kube-scheduler'), KUBE_SYSTEM],
    [{ verbs: ['get', 'create', 'update'], ...LEASES }],
    [],
  ),
  flow(
    'system-node-high',
    'node-high',
    400,
    'ByUser',
    [group('system:nodes')],
    [
      {
        verbs: ['*'],
        apiGroups: [''],
        resources: ['nodes', 'nodes/status'],
        clusterScope: true,
        namespaces: ['*'],
      },
      { verbs: ['*'], ...LEASES },
    ],
    [],
  ),
  flow('system-nodes', 'system', 500, 'ByUser', [group('system:nodes')]),
  flow('kube-controller-manager', 'workload-high', 800, 'ByNamespace', [user('system:kube-controller-manager')]),
  flow('kube-scheduler', 'workload-high', 800, 'ByNamespace', [user('system:kube-scheduler')]),
  flow('kube-system-service-accounts', 'workload-high', 900, 'ByNamespace', [KUBE_SYSTEM]),
  flow('service-accounts', 'workload-low', 9000, 'ByUser', [group('system:serviceaccounts')]),
  flow('global-default', 'global-default', 9900, 'ByUser', EVERYONE),
  flow('catch-all', 'catch-all', 10_000, 'ByUser', EVERYONE),
];
