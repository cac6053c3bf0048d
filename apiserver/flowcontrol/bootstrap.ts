// The FlowSchemas and PriorityLevelConfigurations that a server makes: the mandatory ones, which are always as they are here, and
// the suggested ones, which administrators may take over. As a kube-apiserver 1.36 has them. Pure data.
import { MANDATORY_FLOW_SCHEMAS, MANDATORY_PRIORITY_LEVELS } from '../../api/kinds/parts/mandatory-flow-control.ts';
import type {
  FlowSchema,
  NonResourcePolicyRule,
  PriorityLevelConfiguration,
  ResourcePolicyRule,
  Subject,
} from '../../api/types/flowcontrol-v1.ts';

/** On objects whose spec the server keeps up to date: "true" or "false". */
export const AUTO_UPDATE = 'apf.kubernetes.io/autoupdate-spec';

export const MANDATORY: ReadonlySet<string> = new Set(Object.keys(MANDATORY_FLOW_SCHEMAS));

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

/** What no client may change is written down where clients are told so. */
function mandatory<T extends FlowSchema | PriorityLevelConfiguration>(specs: Readonly<Record<string, T['spec']>>): T[] {
  return Object.entries(specs).map(
    ([name, spec]) => ({ metadata: { name, annotations: { [AUTO_UPDATE]: 'true' } }, spec }) as unknown as T,
  );
}

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
  ...mandatory<PriorityLevelConfiguration>(MANDATORY_PRIORITY_LEVELS),
  limited('system', 30, 33, 64, 6),
  limited('node-high', 40, 25, 64, 6),
  limited('leader-election', 10, 0, 16, 4),
  limited('workload-high', 40, 50, 128, 6),
  limited('workload-low', 100, 90, 128, 6),
  limited('global-default', 20, 50, 128, 6),
];

export const FLOW_SCHEMAS: readonly FlowSchema[] = [
  ...mandatory<FlowSchema>(MANDATORY_FLOW_SCHEMAS),
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
];
