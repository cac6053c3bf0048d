// core/v1 Pod: containers that share a network and a life.
import type { Pod, PodSchedulingGate, PodStatus } from '../types/core-v1.ts';
import { isPodTerminal } from '../pod-conditions.ts';
import { podQosClass } from '../pod-resources.ts';
import { validatePod, validatePodUpdate } from '../validation/pod.ts';
import { validatePodStatusUpdate } from '../validation/pod-status.ts';
import { validateEphemeralContainers, validateResize } from '../validation/pod-views.ts';
import { appArmorWarning, nameWarning, podAddressWarnings, podWarnings } from '../validation/pod-warnings.ts';
import { defineKind } from './define.ts';
import { applyAppArmorAnnotations } from './parts/app-armor.ts';
import { dropDisabledFields, dropDisabledStatusFields } from './parts/disabled-fields.ts';
import { applyMatchLabelKeys } from './parts/match-label-keys.ts';
import { POD_COLUMNS, podCells, podRowConditions } from './parts/pod-cells.ts';
import { setPodDefaults } from './parts/pod-defaults.ts';
import { keepAllButEphemeralContainers, keepAllButResources } from './parts/pod-views.ts';

export const pod = defineKind<Pod>({
  group: '',
  version: 'v1',
  kind: 'Pod',
  resource: 'pods',
  shortNames: ['po'],
  categories: ['all'],
  namespaced: true,
  schema: 'core.v1.Pod',
  columns: POD_COLUMNS,
  cells: (object, { nowMs }) => podCells(object, nowMs),
  rowConditions: podRowConditions,
  selectableFields: {
    'spec.nodeName': (object) => object.spec?.nodeName ?? '',
    'spec.restartPolicy': (object) => object.spec?.restartPolicy ?? '',
    'spec.schedulerName': (object) => object.spec?.schedulerName ?? '',
    'spec.serviceAccountName': (object) => object.spec?.serviceAccountName ?? '',
    'spec.hostNetwork': (object) => String(object.spec?.hostNetwork ?? false),
    'status.phase': (object) => object.status?.phase ?? '',
    'status.podIP': (object) => object.status?.podIPs?.[0]?.ip ?? '',
    'status.nominatedNodeName': (object) => object.status?.nominatedNodeName ?? '',
  },
  hasStatus: true,
  hasGeneration: true,
  subresources: [
    { name: 'attach', kind: 'PodAttachOptions', verbs: ['create', 'get'] },
    { name: 'binding', kind: 'Binding', verbs: ['create'] },
    { name: 'eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
    { name: 'exec', kind: 'PodExecOptions', verbs: ['create', 'get'] },
    { name: 'log', kind: 'Pod', verbs: ['get'] },
    { name: 'portforward', kind: 'PodPortForwardOptions', verbs: ['create', 'get'] },
    { name: 'proxy', kind: 'PodProxyOptions', verbs: ['create', 'delete', 'get', 'patch', 'update'] },
  ],
  updates: {
    ephemeralcontainers: { prepare: keepAllButEphemeralContainers, validate: validateEphemeralContainers },
    resize: { prepare: keepAllButResources, validate: validateResize },
  },

  setDefaults(object) {
    setPodDefaults(object);
    pairPodIPs(object);
  },

  prepareForCreate(object, { warn }) {
    dropDisabledFields(object.spec);
    applyMatchLabelKeys(object);
    for (const key of applyAppArmorAnnotations(object)) warn?.(appArmorWarning(`metadata.annotations[${key}]`));
    object.status = { phase: 'Pending', qosClass: podQosClass(object) };
    const gates: PodSchedulingGate[] = object.spec?.schedulingGates ?? [];
    if (gates.length > 0) {
      object.status.conditions = [
        {
          type: 'PodScheduled',
          status: 'False',
          reason: 'SchedulingGated',
          message: 'Scheduling is blocked due to non-empty scheduling gates',
        },
      ];
    }
  },
  prepareForUpdate(object, old) {
    object.status = old.status;
    dropDisabledFields(object.spec, old.spec);
  },
  prepareForStatusUpdate(object, old, { warn }) {
    // A node may not say whose its pods are.
    object.metadata.ownerReferences = old.metadata.ownerReferences;
    if (!object.status) return;
    object.status.qosClass ||= old.status?.qosClass;
    keepObservedGenerations(object.status, old.status);
    dropDisabledStatusFields(object.status, old.status);
    for (const text of podAddressWarnings(object.status)) warn?.(text);
  },

  validate: validatePod,
  validateUpdate: validatePodUpdate,
  validateStatusUpdate: validatePodStatusUpdate,
  /** Few people change pods themselves: an update warns of nothing. */
  warnings: (object, old) => (old ? [] : [...nameWarning(object.metadata.name, 'Pod'), ...podWarnings(object)]),

  /** Nothing runs yet, or any more: nothing to wait for. */
  gracefulDelete(object, requested) {
    if (!object.spec?.nodeName || isPodTerminal(object)) return { gracePeriodSeconds: 0 };
    const seconds = requested ?? object.spec.terminationGracePeriodSeconds ?? 0;
    return { gracePeriodSeconds: seconds < 0 ? 1 : seconds };
  },
});

/** A client that does not know `observedGeneration` does not take it away. Conditions of one type are told apart by their order. */
function keepObservedGenerations(status: PodStatus, old: PodStatus = {}): void {
  status.observedGeneration ||= old.observedGeneration;
  const known = new Map<string, (number | undefined)[]>();
  for (const { type, observedGeneration } of old.conditions ?? []) {
    known.set(type, [...(known.get(type) ?? []), observedGeneration]);
  }
  for (const condition of status.conditions ?? []) condition.observedGeneration ||= known.get(condition.type)?.shift();
}

/** The old single field mirrors the first of the list. */
function pairPodIPs({ status }: Pod): void {
  if (!status) return;
  const first = status.podIPs?.[0]?.ip;
  // Where they differ, somebody who only knows the old field has set it.
  if (status.podIP && status.podIP !== first) status.podIPs = [{ ip: status.podIP }];
  else if (first) status.podIP = first;
}
