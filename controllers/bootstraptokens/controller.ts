// Removes bootstrap tokens that have expired, and signs ConfigMap cluster-info with those that are good.
import { deepEqual } from '../../api/equality.ts';
import { configMap as configMapKind } from '../../api/kinds/config-map.ts';
import { secret as secretKind } from '../../api/kinds/secret.ts';
import type { ConfigMap, Secret } from '../../api/types/core-v1.ts';
import { createWorkQueue, isNotFound, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { signedClusterInfo, TOKEN_TYPE, tokenExpiresAt } from './plan.ts';

const SYSTEM = 'kube-system';
const PUBLIC = 'kube-public';
const CLUSTER_INFO = 'cluster-info';

/** All Secrets of the type; tokens are those of kube-system. */
const tokensOf = (context: ControllersContext) =>
  context.informers.of<Secret>(secretKind, { fieldSelector: `type=${TOKEN_TYPE}` });

export function runTokenCleaner(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const log = context.log.child({ controller: 'token-cleaner' });
  const { clock, random, client } = context;
  const tokens = tokensOf(context);
  const queue = createWorkQueue({ clock, random });
  const wake = ({ metadata }: Secret) => {
    if (metadata.namespace === SYSTEM) queue.add(`${SYSTEM}/${metadata.name}`);
  };
  tokens.addHandler({ onAdd: wake, onUpdate: wake });

  async function reconcile(key: string) {
    const secret = tokens.get(key);
    if (!secret) return undefined;
    const waitMs = tokenExpiresAt(secret) - clock.now();
    if (waitMs === Number.POSITIVE_INFINITY) return undefined;
    if (waitMs > 0) return { requeueAfterMs: waitMs };
    const { name = '', uid } = secret.metadata;
    try {
      const resource = client.resource<Secret>(secretKind, SYSTEM);
      await resource.delete(name, { ...(uid && { preconditions: { uid } }) });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    return undefined;
  }

  return runController({ name: 'token-cleaner', queue, reconcile, informers: [tokens], log }, signal);
}

export function runBootstrapSigner(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const log = context.log.child({ controller: 'bootstrap-signer' });
  const { clock, random, informers, client } = context;
  const tokens = tokensOf(context);
  const maps = informers.of<ConfigMap>(configMapKind, { fieldSelector: `metadata.name=${CLUSTER_INFO}` });
  const queue = createWorkQueue({ clock, random });
  const key = `${PUBLIC}/${CLUSTER_INFO}`;
  const wake = () => queue.add(key);
  tokens.addHandler({ onAdd: wake, onUpdate: wake, onDelete: wake });
  maps.addHandler({ onAdd: wake, onUpdate: wake });

  async function reconcile(): Promise<void> {
    const map = maps.get(key);
    if (!map) return;
    const own = tokens.list().filter((each) => each.metadata.namespace === SYSTEM);
    const data = signedClusterInfo(map, own, clock.now());
    if (!data || deepEqual(data, map.data)) return;
    await client.resource<ConfigMap>(configMapKind, PUBLIC).update({ ...map, data });
  }

  return runController({ name: 'bootstrap-signer', queue, reconcile, informers: [tokens, maps], log }, signal);
}
