// RuntimeClass: a pod that names one takes over its overhead and its scheduling; nobody else may set the overhead.
import { deepEqual } from '../../api/equality.ts';
import { errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import { compareQuantities, quantityOf } from '../../api/quantity.ts';
import type { Pod, Toleration } from '../../api/types/core-v1.ts';
import type { RuntimeClass } from '../../api/types/node-v1.ts';
import { type AdmissionPlugin, onKind } from './chain.ts';
import type { Lookup } from './lookup.ts';

export function runtimeClassAdmission(lookup: Lookup): AdmissionPlugin {
  const find = (pod: Pod) => {
    const name = pod.spec?.runtimeClassName;
    return name ? lookup.find<RuntimeClass & KubeObject>('node.k8s.io', 'runtimeclasses', '', name) : undefined;
  };
  return {
    name: 'RuntimeClass',
    handles: onKind('', 'pods', 'CREATE'),
    async mutate({ object, name }) {
      const pod = object as Pod & KubeObject;
      const { spec } = pod;
      if (!spec?.runtimeClassName) return;
      const refuse = (why: string) => errors.forbidden({ group: '', resource: 'pods' }, name, why);
      const found = await find(pod);
      if (!found) {
        throw refuse(`pod rejected: RuntimeClass ${JSON.stringify(spec.runtimeClassName)} not found`);
      }
      const overhead = found.overhead?.podFixed;
      if (overhead) {
        if (spec.overhead && !sameResources(spec.overhead, overhead)) throw refuse(DIFFERS);
        spec.overhead = { ...overhead };
      }
      const { nodeSelector, tolerations } = found.scheduling ?? {};
      for (const [key, value] of Object.entries(nodeSelector ?? {})) {
        const own = spec.nodeSelector?.[key];
        if (own !== undefined && own !== value) {
          throw refuse(
            `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`,
          );
        }
        spec.nodeSelector = { ...spec.nodeSelector, [key]: value };
      }
      if (tolerations?.length) spec.tolerations = merged(spec.tolerations ?? [], tolerations);
    },
    async validate({ object, name }) {
      const pod = object as Pod & KubeObject;
      if (!pod.spec?.overhead) return;
      const fixed = (await find(pod))?.overhead?.podFixed;
      const refuse = (why: string) => errors.forbidden({ group: '', resource: 'pods' }, name, why);
      if (!fixed) throw refuse('pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead');
      if (!sameResources(pod.spec.overhead, fixed)) throw refuse(DIFFERS);
    },
  };
}

const DIFFERS = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

type Resources = Readonly<Record<string, string | number>>;

function sameResources(left: Resources, right: Resources): boolean {
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every((each) => {
      const other = right[each];
      return other !== undefined && compareQuantities(quantityOf(left[each]), quantityOf(other)) === 0;
    })
  );
}

const merged = (own: readonly Toleration[], more: readonly Toleration[]): Toleration[] => [
  ...own,
  ...more.filter((each) => !own.some((other) => deepEqual(other, each))),
];
