// Priority: spec.priority follows from the pod's PriorityClass, or from the cluster's default class.
import { errors } from '../../api/errors.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import type { PriorityClass } from '../../api/types/scheduling-v1.ts';
import type { AdmissionPlugin } from './chain.ts';

const SYSTEM: Readonly<Record<string, number>> = {
  'system-cluster-critical': 2_000_000_000,
  'system-node-critical': 2_000_001_000,
};

export function priorityAdmission(classes: {
  find(name: string): Promise<PriorityClass | undefined>;
  /** The one with globalDefault and the lowest value. */
  default(): PriorityClass | undefined;
}): AdmissionPlugin {
  return {
    name: 'Priority',
    async mutate({ kind, subresource, operation, object, old }) {
      if (kind.kind !== 'Pod' || kind.group !== '' || subresource !== '') return;
      const pod = object as Pod;
      if (operation === 'UPDATE') {
        // A client that leaves the computed field out of its update means no change.
        const was = (old as Pod).spec;
        if (pod.spec && pod.spec.priority === undefined && was?.priority !== undefined)
          pod.spec.priority = was.priority;
        if (pod.spec && pod.spec.preemptionPolicy === undefined && was?.preemptionPolicy !== undefined) {
          pod.spec.preemptionPolicy = was.preemptionPolicy;
        }
        return;
      }
      if (operation !== 'CREATE' || !pod.spec) return;
      const refuse = (why: string) => errors.forbidden({ group: '', resource: 'pods' }, pod.metadata.name ?? '', why);
      const name = pod.spec.priorityClassName;
      const found = name ? await classes.find(name) : classes.default();
      if (name && !found && SYSTEM[name] === undefined) throw refuse(`no PriorityClass with name ${name} was found`);
      if (!name && found) pod.spec.priorityClassName = found.metadata.name;
      const priority = found?.value ?? SYSTEM[name ?? ''] ?? 0;
      const policy = found?.preemptionPolicy ?? 'PreemptLowerPriority';
      if (pod.spec.priority !== undefined && pod.spec.priority !== priority) {
        throw refuse(
          `the integer value of priority (${pod.spec.priority}) must not be provided in pod spec; priority admission controller computed ${priority} from the given PriorityClass name`,
        );
      }
      if (pod.spec.preemptionPolicy !== undefined && pod.spec.preemptionPolicy !== policy) {
        throw refuse(
          `the string value of PreemptionPolicy (${pod.spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`,
        );
      }
      pod.spec.priority = priority;
      pod.spec.preemptionPolicy = policy;
    },
  };
}
