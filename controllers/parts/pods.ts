// Pods by node, and how a controller ends one for good.
import { pod as podKind } from '../../api/kinds/pod.ts';
import { isPodTerminal, withPodCondition } from '../../api/pod-conditions.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { type Client, type Informer, isConflict, isNotFound, type ResourceClient } from '../../client/index.ts';
import { rfc3339 } from './time.ts';

const byNode = 'pods-by-node';

/** Pods assigned to a node, from an index of the shared informer. */
export function podsOnNode(pods: Informer<Pod>): (nodeName: string) => Pod[] {
  pods.addIndex(byNode, (pod) => (pod.spec?.nodeName ? [pod.spec.nodeName] : []));
  return (nodeName) => pods.byIndex(byNode, nodeName);
}

export interface Disruption {
  reason: string;
  message: string;
  /** Marks the pod Failed: nobody else can report its end. */
  fail?: boolean;
  gracePeriodSeconds?: number;
}

/** Notes the reason as condition DisruptionTarget, then deletes. A pod that is gone or replaced is none of our business. */
export async function disruptPod(
  client: Client,
  pod: Pod,
  { reason, message, fail, gracePeriodSeconds }: Disruption,
  nowMs: number,
): Promise<boolean> {
  const { name, namespace, uid } = pod.metadata as { name: string; namespace: string; uid: string };
  const resource = client.resource<Pod>(podKind, namespace);
  try {
    const condition = { type: 'DisruptionTarget', status: 'True', reason, message, lastTransitionTime: rfc3339(nowMs) };
    const { conditions, changed } = withPodCondition(pod.status?.conditions, condition);
    const mustFail = fail === true && !isPodTerminal(pod);
    if (changed || mustFail) {
      const status = { ...pod.status, conditions, ...(mustFail && { phase: 'Failed' }) };
      const { resourceVersion } = pod.metadata;
      await resource.patch(name, 'merge', { metadata: { uid, resourceVersion }, status }, { subresource: 'status' });
    }
    await resource.delete(name, {
      preconditions: { uid },
      ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
    });
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    if (isConflict(error) && (await isReplaced(resource, name, uid))) return false;
    throw error;
  }
}

/** Asked as a list: who removes pods of lost nodes may list pods, not get them. */
async function isReplaced(resource: ResourceClient<Pod>, name: string, uid: string): Promise<boolean> {
  const { items } = await resource.list({ fieldSelector: `metadata.name=${name}` });
  return items[0]?.metadata.uid !== uid;
}
