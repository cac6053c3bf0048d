// Composition of who may do what: the authorizers in the order of --authorization-mode, and the indexes they decide from.
import type { Scheme } from '../api/scheme.ts';
import type { PersistentVolume, Pod } from '../api/types/core-v1.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { ConfiguredAuthorizer } from './auth/authorization-config.ts';
import type { Conditions } from './auth/webhook-conditions.ts';
import { type BootstrapRbac, loadBootstrapRbac } from './auth/bootstrap-rbac.ts';
import { type Apply, type Follower, follow } from './auth/follow.ts';
import type { Authorizer } from './auth/identity.ts';
import { NodeAuthorizer } from './auth/node-authorizer.ts';
import { NodeGraph, ownerNode } from './auth/node-graph.ts';
import { RbacAuthorizer } from './auth/rbac.ts';
import { type ReviewWebhookConfig, reviewWebhook } from './auth/review-webhook.ts';
import { webhookAuthorizer } from './auth/webhook-authorizer.ts';
import { unionAuthorizer } from './auth/union.ts';
import type { CacheSet } from './cache/port.ts';

export const AUTHORIZATION_MODES = ['Node', 'RBAC', 'Webhook', 'AlwaysAllow', 'AlwaysDeny'] as const;
export type AuthorizationMode = (typeof AUTHORIZATION_MODES)[number];

/** Of an AuthorizationConfiguration, with its expressions compiled. */
export type RunnableAuthorizer = ConfiguredAuthorizer & { matches?: Conditions | undefined };

export interface Authorization {
  authorizer: Authorizer;
  rbac: RbacAuthorizer;
  /** The defaults that a start brings into the cluster. */
  defaults: BootstrapRbac;
  /** Puts others in the place of those of an AuthorizationConfiguration. Throws, and changes nothing, when they do not fit. */
  replace(authorizers: readonly RunnableAuthorizer[]): void;
  /** Starts to follow the objects that decide; the server waits for `synced` before it serves. */
  follow(signal: AbortSignal): Follower[];
}

const MASTERS: Authorizer = {
  authorize: ({ user }) => ({ allowed: user.groups.includes('system:masters'), reason: '' }),
};

const RBAC_RESOURCES = ['clusterroles', 'clusterrolebindings', 'roles', 'rolebindings'];

export function createAuthorization(options: {
  scheme: Scheme;
  caches: CacheSet;
  clock: Clock;
  log: Logger;
  /** Default: Node, RBAC. */
  modes?: readonly AuthorizationMode[];
  /** Asked in the mode Webhook. */
  webhook?: ReviewWebhookConfig | undefined;
  /** In the place of both. */
  authorizers?: readonly RunnableAuthorizer[] | undefined;
}): Authorization {
  const { scheme, caches, clock, log } = options;
  const defaults = loadBootstrapRbac();
  const rbac = new RbacAuthorizer();
  const graph = new NodeGraph();
  const nodeRole = defaults.clusterRoles.find((each) => each.metadata.name === 'system:node');
  const byMode: Record<AuthorizationMode, Authorizer | undefined> = {
    Node: new NodeAuthorizer(graph, nodeRole?.rules ?? []),
    RBAC: rbac,
    Webhook: options.webhook && webhookAuthorizer({ ask: reviewWebhook(options.webhook), clock, log }),
    AlwaysAllow: { authorize: () => ({ allowed: true, reason: '' }) },
    AlwaysDeny: { authorize: () => ({ allowed: false, reason: 'Everything is forbidden.' }) },
  };
  const modes = options.authorizers?.map((each) => each.type) ?? options.modes ?? ['Node', 'RBAC'];
  const configuredOf = (each: RunnableAuthorizer): Authorizer => {
    if (each.type !== 'Webhook') return byMode[each.type] as Authorizer;
    const { connection, timeoutMs, ...rest } = each.webhook;
    const ask = reviewWebhook({ ...connection, timeoutMs });
    return webhookAuthorizer({ ...rest, ask, matches: each.matches, clock, log: log.child({ authorizer: each.name }) });
  };
  const named = (mode: AuthorizationMode): Authorizer => {
    const authorizer = byMode[mode];
    if (!authorizer) throw new Error(`authorization mode ${mode} is not configured`);
    return authorizer;
  };
  // system:masters may everything in every mode, so that a cluster can be repaired.
  const union = (authorizers: readonly Authorizer[]) => unionAuthorizer([MASTERS, ...authorizers]);
  let current = union(options.authorizers?.map(configuredOf) ?? modes.map(named));

  return {
    authorizer: { authorize: (attributes) => current.authorize(attributes) },
    rbac,
    defaults,
    replace(authorizers) {
      for (const { type } of authorizers) {
        // What they decide from is not followed.
        if ((type === 'Node' || type === 'RBAC') && !modes.includes(type)) {
          throw new Error(`authorizer type ${type} is not allowed if it was not enabled at initial server startup`);
        }
      }
      current = union(authorizers.map(configuredOf));
    },
    follow(signal) {
      const followers: Follower[] = [];
      const feed = (group: string, resource: string, apply: Apply) => {
        const kind = scheme.byGroupResource(group, resource);
        if (kind) followers.push(follow(caches.of(kind), apply, { signal, clock, log }));
      };
      // Also without the mode RBAC: who may grant what is decided by it.
      for (const resource of RBAC_RESOURCES) {
        const kind = scheme.byGroupResource('rbac.authorization.k8s.io', resource)?.kind ?? '';
        feed('rbac.authorization.k8s.io', resource, (namespace, name, object) =>
          rbac.apply(kind, namespace, name, object),
        );
      }
      if (!modes.includes('Node')) return followers;
      feed('', 'pods', (namespace, name, object) => graph.applyPod(namespace, name, object as Pod | undefined));
      feed('', 'persistentvolumes', (_, name, object) =>
        graph.applyVolume(name, object as PersistentVolume | undefined),
      );
      for (const [group, resource] of [
        ['storage.k8s.io', 'volumeattachments'],
        ['resource.k8s.io', 'resourceslices'],
      ] as const) {
        feed(group, resource, (_, name, object) => graph.applyOwned(resource, name, ownerNode(object)));
      }
      return followers;
    },
  };
}
