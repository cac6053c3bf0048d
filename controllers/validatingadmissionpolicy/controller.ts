// Checks each generation of a ValidatingAdmissionPolicy against the types of the kinds it means, and says in its status what
// does not fit.
import { validatingAdmissionPolicy as policyKind } from '../../api/kinds/validating-admission-policy.ts';
import type { KubeObject } from '../../api/object.ts';
import type { ValidatingAdmissionPolicy } from '../../api/types/admissionregistration-v1.ts';
import { createWorkQueue, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { planStatus } from './plan.ts';

type Policy = ValidatingAdmissionPolicy & KubeObject;

export function runValidatingPolicyStatus(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const name = 'validatingadmissionpolicy-status';
  const log = context.log.child({ controller: name });
  const { clock, random, informers, client, scheme } = context;
  const policies = informers.of<Policy>(policyKind);
  const queue = createWorkQueue({ clock, random });
  const wake = (policy: Policy) => queue.add(policy.metadata.name as string);
  policies.addHandler({ onAdd: wake, onUpdate: wake });

  async function reconcile(key: string): Promise<void> {
    const policy = policies.get(key);
    const status = policy && planStatus(policy, scheme);
    if (status) await client.resource<Policy>(policyKind).update({ ...policy, status }, { subresource: 'status' });
  }

  return runController({ name, queue, reconcile, informers: [policies], log }, signal);
}
