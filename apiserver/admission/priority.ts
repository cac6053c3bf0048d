// Priority: spec.priority follows from the pod's PriorityClass, or from the cluster's default class. Of classes, no more
// than one is the default.
import { errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import type { PriorityClass } from '../../api/types/scheduling-v1.ts';
import type { AdmissionPlugin, AdmissionRequest } from './chain.ts';

const SYSTEM: Readonly<Record<string, number>> = {
  'system-cluster-critical': 2_000_000_000,
  'system-node-critical': 2_000_001_000,
};
const PODS = { group: '', resource: 'pods' };
const CLASSES = { group: 'scheduling.k8s.io', resource: 'priorityclasses' };

export interface PriorityClasses {
  find(name: string): Promise<(PriorityClass & KubeObject) | undefined>;
  list(): Promise<readonly (PriorityClass & KubeObject)[]>;
}

export function priorityAdmission(classes: PriorityClasses): AdmissionPlugin {
  return {
    name: 'Priority',
    handles: (kind, subresource, operation) =>
      subresource === '' &&
      (operation === 'CREATE' || operation === 'UPDATE') &&
      ((kind.group === PODS.group && kind.resource === PODS.resource) ||
        (kind.group === CLASSES.group && kind.resource === CLASSES.resource)),
    mutate(request) {
      if (request.kind.resource !== PODS.resource) return;
      if (request.operation === 'CREATE') return admitPod(request, classes);
      // A client that leaves the computed fields out of its update means no change.
      const { spec } = request.object as Pod;
      const was = (request.old as Pod).spec;
      if (!spec || !was) return;
      if (spec.priority === undefined && was.priority !== undefined) spec.priority = was.priority;
      if (spec.preemptionPolicy === undefined && was.preemptionPolicy !== undefined) {
        spec.preemptionPolicy = was.preemptionPolicy;
      }
    },
    async validate({ kind, object, name }) {
      if (kind.resource !== CLASSES.resource) return;
      const { globalDefault } = object as PriorityClass & KubeObject;
      if (!globalDefault) return;
      const other = (await classes.list()).find((each) => each.globalDefault && each.metadata.name !== name);
      if (!other) return;
      throw errors.forbidden(
        CLASSES,
        name,
        `PriorityClass ${other.metadata.name} is already marked as default. Only one default can exist`,
      );
    },
  };
}

async function admitPod({ object, name }: AdmissionRequest, classes: PriorityClasses): Promise<void> {
  const { spec } = object as Pod & KubeObject;
  if (!spec) return;
  const refuse = (why: string) => errors.forbidden(PODS, name, why);
  const className = spec.priorityClassName;
  const found = className ? await classes.find(className) : defaultClass(await classes.list());
  if (className && !found && SYSTEM[className] === undefined) {
    throw refuse(`no PriorityClass with name ${className} was found`);
  }
  if (!className && found?.metadata.name) spec.priorityClassName = found.metadata.name;
  const priority = found?.value ?? SYSTEM[className ?? ''] ?? 0;
  const policy = found?.preemptionPolicy ?? 'PreemptLowerPriority';
  if (spec.priority !== undefined && spec.priority !== priority) {
    throw refuse(
      `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${priority} from the given PriorityClass name`,
    );
  }
  if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy) {
    throw refuse(
      `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`,
    );
  }
  spec.priority = priority;
  spec.preemptionPolicy = policy;
}

/** Of several (a race made them) the one with the lowest value. */
function defaultClass(classes: readonly (PriorityClass & KubeObject)[]): (PriorityClass & KubeObject) | undefined {
  let found: (PriorityClass & KubeObject) | undefined;
  for (const each of classes) {
    if (each.globalDefault && (!found || (each.value ?? 0) < (found.value ?? 0))) found = each;
  }
  return found;
}
