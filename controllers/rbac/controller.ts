// Aggregated cluster roles: writes into each the rules of the roles that it selects, whenever one of them changes. The API
// server decides by the selection itself; this is what people see in the role.
import { deepEqual } from '../../api/equality.ts';
import { clusterRole as clusterRoleKind } from '../../api/kinds/cluster-role.ts';
import { aggregatedRules } from '../../api/rbac-aggregation.ts';
import type { ClusterRole } from '../../api/types/rbac-v1.ts';
import { createWorkQueue, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';

export function runClusterRoleAggregation(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const log = context.log.child({ controller: 'clusterrole-aggregation' });
  const { clock, random, informers, client } = context;
  const roles = informers.of<ClusterRole>(clusterRoleKind);
  const queue = createWorkQueue({ clock, random });
  // Which roles a changed one is part of is asked of the selectors, old labels or new: there are few that aggregate.
  const wake = () => {
    for (const each of roles.list()) if (each.aggregationRule) queue.add(each.metadata.name as string);
  };
  roles.addHandler({ onAdd: wake, onUpdate: wake, onDelete: wake });

  async function reconcile(name: string): Promise<void> {
    const role = roles.get(name);
    if (!role?.aggregationRule) return;
    const rules = aggregatedRules(role, roles.list());
    if (deepEqual(rules, role.rules ?? [])) return;
    await client.resource<ClusterRole>(clusterRoleKind).update({ ...role, rules });
  }

  return runController({ name: 'clusterrole-aggregation', queue, reconcile, informers: [roles], log }, signal);
}
