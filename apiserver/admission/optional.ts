// Plugins that are enabled by name, beside the default ones. Messages are upstream's.
import { errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Scheme } from '../../api/scheme.ts';
import type { Container, Namespace, Pod, PodAffinityTerm } from '../../api/types/core-v1.ts';
import type { OwnerReference } from '../../api/types/meta.ts';
import { parseApiVersion } from '../../api/object.ts';
import { deepEqual } from '../../api/equality.ts';
import { parseLabelSelector } from '../../api/selectors.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Attributes } from '../auth/identity.ts';
import { type AdmissionPlugin, onKind } from './chain.ts';
import { type EventLimit, eventRateLimit } from './event-rate-limit.ts';
import type { Lookup } from './lookup.ts';

const PODS = { group: '', resource: 'pods' };

export const OPTIONAL_PLUGINS = [
  'OwnerReferencesPermissionEnforcement',
  'AlwaysPullImages',
  'PodNodeSelector',
  'LimitPodHardAntiAffinityTopology',
  'EventRateLimit',
] as const;

export type OptionalPlugin = (typeof OPTIONAL_PLUGINS)[number];

export interface OptionalOptions {
  lookup: Lookup;
  scheme: Scheme;
  clock: Clock;
  /** Of EventRateLimit, which has to have some. */
  eventLimits?: readonly EventLimit[] | undefined;
  /** True when the user may do that. */
  allows(attributes: Attributes): boolean | Promise<boolean>;
}

export function optionalPlugin(name: OptionalPlugin, options: OptionalOptions): AdmissionPlugin {
  switch (name) {
    case 'OwnerReferencesPermissionEnforcement':
      return ownerReferences(options);
    case 'AlwaysPullImages':
      return alwaysPullImages;
    case 'PodNodeSelector':
      return podNodeSelector(options.lookup);
    case 'LimitPodHardAntiAffinityTopology':
      return hardAntiAffinity;
    case 'EventRateLimit':
      return eventRateLimit(options.eventLimits ?? [], options.clock);
  }
}

/** Who makes an object depend on another so that the other's deletion waits for it must be allowed to finalize the other. */
function ownerReferences({ scheme, allows }: OptionalOptions): AdmissionPlugin {
  return {
    name: 'OwnerReferencesPermissionEnforcement',
    handles: (_kind, subresource, operation) =>
      subresource === '' && (operation === 'CREATE' || operation === 'UPDATE'),
    async validate(request) {
      const { kind, object, old, namespace, name, user } = request;
      const now = object?.metadata.ownerReferences ?? [];
      const was = old?.metadata.ownerReferences ?? [];
      if (deepEqual(now, was)) return;
      const refuse = (why: string) => errors.forbidden({ group: kind.group, resource: kind.resource }, name, why);
      const ask = { user, isResource: true, namespace, path: '' };
      const resource = { group: kind.group, version: kind.version, resource: kind.resource };
      // The garbage collector deletes what has owners: to change them is to be able to delete.
      if (!(await allows({ ...ask, ...resource, verb: 'delete', subresource: '', name }))) {
        throw refuse("cannot set an ownerRef on a resource you can't delete: no permission to delete it");
      }
      for (const reference of newlyBlocking(now, was)) {
        const owner = ownerKind(scheme, reference);
        if (!owner) {
          throw refuse(
            `cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion ${reference.apiVersion} Kind ${reference.kind}`,
          );
        }
        const allowed = await allows({
          ...ask,
          verb: 'update',
          group: owner.group,
          version: owner.version,
          resource: owner.resource,
          subresource: 'finalizers',
          namespace: owner.namespaced ? namespace : '',
          name: reference.name,
        });
        if (!allowed) {
          throw refuse(
            "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: no permission to update them",
          );
        }
      }
    },
  };
}

function newlyBlocking(now: readonly OwnerReference[], was: readonly OwnerReference[]): OwnerReference[] {
  const before = new Set(was.filter((each) => each.blockOwnerDeletion).map((each) => each.uid));
  return now.filter((each) => each.blockOwnerDeletion && !before.has(each.uid));
}

function ownerKind(scheme: Scheme, { apiVersion, kind }: OwnerReference) {
  const { group, version } = parseApiVersion(apiVersion) ?? { group: '', version: '' };
  return scheme.byKind(group, version, kind);
}

/** Images are pulled with the pod's own credentials each time: a node's copy is nobody's by itself. */
const alwaysPullImages: AdmissionPlugin = {
  name: 'AlwaysPullImages',
  handles: onKind('', 'pods', 'CREATE', 'UPDATE'),
  mutate({ object, old }) {
    const { spec } = object as Pod;
    const before = new Set(containersOf(old as Pod | undefined).map((each) => each.image));
    for (const each of containersOf({ spec } as Pod)) {
      if (!old || !before.has(each.image)) each.imagePullPolicy = 'Always';
    }
  },
  validate({ object, name }) {
    for (const each of containersOf(object as Pod)) {
      if (each.imagePullPolicy === 'Always') continue;
      throw errors.forbidden(
        PODS,
        name,
        `spec.containers[${each.name}].imagePullPolicy: Unsupported value: ${JSON.stringify(each.imagePullPolicy ?? '')}: supported values: "Always"`,
      );
    }
  },
};

const containersOf = (pod: Pod | undefined): Container[] => [
  ...(pod?.spec?.initContainers ?? []),
  ...(pod?.spec?.containers ?? []),
];

const NODE_SELECTOR_ANNOTATION = 'scheduler.alpha.kubernetes.io/node-selector';

/** The pods of a namespace go to the nodes that its annotation selects. */
function podNodeSelector(lookup: Lookup): AdmissionPlugin {
  async function selectorOf(namespace: string): Promise<Record<string, string>> {
    const found = await lookup.find<Namespace & KubeObject>('', 'namespaces', '', namespace);
    const text = found?.metadata.annotations?.[NODE_SELECTOR_ANNOTATION] ?? '';
    parseLabelSelector(text);
    return Object.fromEntries(
      text
        .split(',')
        .map((each) => each.split(/==?/).map((part) => part.trim()))
        .filter((pair): pair is [string, string] => pair.length === 2 && pair[0] !== ''),
    );
  }
  const conflict = (own: Record<string, string>, wanted: Record<string, string>) =>
    Object.entries(wanted).some(([key, value]) => own[key] !== undefined && own[key] !== value);
  return {
    name: 'PodNodeSelector',
    handles: onKind('', 'pods', 'CREATE'),
    async mutate({ object, namespace, name }) {
      const { spec } = object as Pod;
      const wanted = await selectorOf(namespace);
      if (!spec || Object.keys(wanted).length === 0) return;
      if (conflict(spec.nodeSelector ?? {}, wanted)) {
        throw errors.forbidden(PODS, name, 'pod node label selector conflicts with its namespace node label selector');
      }
      spec.nodeSelector = { ...spec.nodeSelector, ...wanted };
    },
  };
}

/** Nobody keeps everybody else off a whole zone. */
const hardAntiAffinity: AdmissionPlugin = {
  name: 'LimitPodHardAntiAffinityTopology',
  handles: onKind('', 'pods', 'CREATE'),
  validate({ object, name }) {
    const terms: PodAffinityTerm[] =
      (object as Pod).spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
    const wide = terms.find((each) => each.topologyKey !== 'kubernetes.io/hostname');
    if (!wide) return;
    throw errors.forbidden(
      PODS,
      name,
      `affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey ${wide.topologyKey} but only key kubernetes.io/hostname is allowed`,
    );
  },
};
