// What `kubectl get pods` shows: the phase, refined by reasons, init containers, exits and deletion, as upstream prints it.
import { age, humanDuration } from '../../duration.ts';
import type { Cell, RowCondition } from '../../kind.ts';
import { isPodTerminal, podCondition } from '../../pod-conditions.ts';
import { isSidecar } from '../../pod-resources.ts';
import type { ContainerStateTerminated, ContainerStatus, Pod } from '../../types/core-v1.ts';

export const POD_COLUMNS = [
  'Name:string:name',
  'Ready',
  'Status',
  'Restarts',
  'Age',
  'IP*',
  'Node*',
  'Nominated Node*',
  'Readiness Gates*',
];

interface Summary {
  reason: string;
  ready: number;
  restarts: number;
  /** RFC 3339, empty when nothing restarted. */
  lastRestart: string;
}

const COMPLETED: Readonly<Record<string, readonly RowCondition[]>> = {
  Succeeded: [
    { type: 'Completed', status: 'True', reason: 'Succeeded', message: 'The pod has completed successfully.' },
  ],
  Failed: [{ type: 'Completed', status: 'True', reason: 'Failed', message: 'The pod failed.' }],
};
const NOT_COMPLETED: readonly RowCondition[] = [];

/** A pod that has ended is a row that clients may leave out. */
export const podRowConditions = ({ status }: Pod): readonly RowCondition[] =>
  Object.hasOwn(COMPLETED, status?.phase ?? '')
    ? (COMPLETED[status?.phase as string] as readonly RowCondition[])
    : NOT_COMPLETED;

export function podCells(pod: Pod, nowMs: number): Cell[] {
  const sidecars = new Set((pod.spec?.initContainers ?? []).filter(isSidecar).map((each) => each.name));
  const total = (pod.spec?.containers?.length ?? 0) + sidecars.size;
  const summary = summarize(pod, sidecars);
  const { restarts, lastRestart } = summary;
  const isDated = restarts > 0 && lastRestart !== '';
  return [
    pod.metadata.name ?? '',
    `${summary.ready}/${total}`,
    withDeletion(pod, summary.reason),
    isDated ? `${restarts} (${humanDuration(nowMs - Date.parse(lastRestart))} ago)` : String(restarts),
    age(pod.metadata.creationTimestamp, nowMs),
    pod.status?.podIPs?.[0]?.ip || '<none>',
    pod.spec?.nodeName || '<none>',
    pod.status?.nominatedNodeName || '<none>',
    readinessGates(pod),
  ];
}

function summarize(pod: Pod, sidecars: ReadonlySet<string>): Summary {
  const status = pod.status ?? {};
  const init = initPart(pod, sidecars);
  const isGated = podCondition(pod, 'PodScheduled')?.reason === 'SchedulingGated';
  const summary: Summary = {
    reason: init.reason ?? (isGated ? 'SchedulingGated' : status.reason || status.phase || ''),
    ready: init.ready,
    restarts: init.all.restarts,
    lastRestart: init.all.lastRestart,
  };
  if (init.reason !== undefined && podCondition(pod, 'Initialized')?.status !== 'True') return summary;

  // Initialized: only the restarts of what still runs count.
  Object.assign(summary, init.sidecars);
  let hasRunning = false;
  for (const container of [...(status.containerStatuses ?? [])].reverse()) {
    countRestarts(summary, container);
    const { waiting, terminated, running } = container.state ?? {};
    if (waiting?.reason) summary.reason = waiting.reason;
    else if (terminated) summary.reason = terminated.reason || exitText(terminated);
    else if (container.ready && running) {
      hasRunning = true;
      summary.ready++;
    }
  }
  // One exited well while others run: the pod runs.
  if (summary.reason === 'Completed' && hasRunning) {
    summary.reason = podCondition(pod, 'Ready')?.status === 'True' ? 'Running' : 'NotReady';
  }
  return summary;
}

interface Restarts {
  restarts: number;
  lastRestart: string;
}

interface InitPart {
  /** `Init:...`, or undefined when every init container is done. */
  reason: string | undefined;
  ready: number;
  all: Restarts;
  sidecars: Restarts;
}

function initPart(pod: Pod, sidecars: ReadonlySet<string>): InitPart {
  const part: InitPart = {
    reason: undefined,
    ready: 0,
    all: { restarts: 0, lastRestart: '' },
    sidecars: { restarts: 0, lastRestart: '' },
  };
  for (const [index, container] of (pod.status?.initContainerStatuses ?? []).entries()) {
    const isSidecarStatus = sidecars.has(container.name);
    countRestarts(part.all, container);
    if (isSidecarStatus) countRestarts(part.sidecars, container);
    const { terminated, waiting } = container.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (isSidecarStatus && container.started) {
      if (container.ready) part.ready++;
      continue;
    }
    if (terminated) part.reason = `Init:${terminated.reason || exitText(terminated)}`;
    else if (waiting?.reason && waiting.reason !== 'PodInitializing') part.reason = `Init:${waiting.reason}`;
    else part.reason = `Init:${index}/${pod.spec?.initContainers?.length ?? 0}`;
    break;
  }
  return part;
}

function countRestarts(into: Restarts, container: ContainerStatus): void {
  into.restarts += container.restartCount;
  const finishedAt = container.lastState?.terminated?.finishedAt ?? '';
  if (finishedAt > into.lastRestart) into.lastRestart = finishedAt;
}

const exitText = (terminated: ContainerStateTerminated): string =>
  terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode}`;

function withDeletion(pod: Pod, reason: string): string {
  if (!pod.metadata.deletionTimestamp) return reason;
  if (pod.status?.reason === 'NodeLost') return 'Unknown';
  return isPodTerminal(pod) ? reason : 'Terminating';
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  const open = gates.filter((gate) => podCondition(pod, gate.conditionType)?.status === 'True').length;
  return `${open}/${gates.length}`;
}
