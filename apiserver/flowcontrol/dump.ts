// /debug/api_priority_and_fairness/: what waits and runs, as tables of text in upstream's columns. Pure.
import type { FlowControl, Seat } from './flow-control.ts';

/** Undefined: there is no such dump. */
export function dumpFlows(flows: FlowControl, name: string, query: URLSearchParams): string | undefined {
  switch (name) {
    case 'dump_priority_levels':
      return table(
        'PriorityLevelName,ActiveQueues,IsIdle,IsQuiescing,WaitingRequests,ExecutingRequests,DispatchedRequests,RejectedRequests,TimedoutRequests,CancelledRequests',
        flows
          .levels()
          .map(({ name: level, exempt, queues, dispatched, rejected, timedOut, cancelled }) =>
            exempt
              ? [level, '<none>', '<none>', '<none>', '<none>', '<none>', '<none>', '<none>', '<none>', '<none>']
              : [
                  level,
                  queues.activeQueues,
                  queues.activeQueues === 0,
                  false,
                  queues.waiting,
                  queues.executing,
                  dispatched,
                  rejected,
                  timedOut,
                  cancelled,
                ],
          ),
      );
    case 'dump_queues':
      return table(
        'PriorityLevelName,Index,PendingRequests,ExecutingRequests,SeatsInUse,NextDispatchR,InitialSeatsSum,MaxSeatsSum,TotalWorkSum',
        flows
          .levels()
          .flatMap((level) =>
            level.exempt
              ? []
              : level.queues.queues.map((queue) => [
                  level.name,
                  queue.index,
                  queue.waiting.length,
                  queue.executing.size,
                  queue.seatsInUse,
                  `${queue.nextR.toFixed(8)}ss`,
                  queue.seatsWaiting,
                  queue.seatsWaiting,
                  `${(queue.seatsWaiting * 0.003).toFixed(8)}ss`,
                ]),
          ),
      );
    case 'dump_requests':
      return dumpRequests(flows, query.get('includeRequestDetails') === '1');
    default:
      return undefined;
  }
}

function dumpRequests(flows: FlowControl, withDetails: boolean): string {
  const rows: Cell[][] = [];
  for (const level of flows.levels()) {
    if (level.exempt) continue;
    for (const queue of level.queues.queues) {
      queue.waiting.forEach((seat, index) => rows.push(row(level.name, seat, index)));
      [...queue.executing].forEach((seat, index) => rows.push(row(level.name, seat, index)));
    }
  }
  const heads =
    'PriorityLevelName,FlowSchemaName,QueueIndex,RequestIndexInQueue,FlowDistingsher,ArriveTime,InitialSeats,FinalSeats,AdditionalLatency,StartTime';
  return table(
    withDetails ? `${heads},UserName,Verb,APIPath,Namespace,Name,APIVersion,Resource,SubResource` : heads,
    rows,
  );

  function row(level: string, seat: Seat, index: number): Cell[] {
    const { flow, info, user } = seat.detail;
    const at = (ms: number) =>
      Number.isNaN(ms) ? '0001-01-01T00:00:00Z' : new Date(performance.timeOrigin + ms).toISOString();
    const short = [
      level,
      flow.schema.name,
      seat.queue.index,
      index,
      flow.schema.distinguisher(user, info),
      at(seat.arrivedMs),
      seat.seats,
      0,
      '0s',
      at(seat.startedMs),
    ];
    if (!withDetails) return short;
    const { verb, path, namespace, name, version, resource, subresource } = info;
    return [...short, user.name, verb, path, namespace, name, version, resource, subresource];
  }
}

type Cell = string | number | boolean;

function table(heads: string, rows: readonly (readonly Cell[])[]): string {
  const all = [heads.split(','), ...rows.map((row) => row.map(String))];
  const widths = heads.split(',').map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)) + 1);
  return all
    .map((row) =>
      row.map((cell, i) => (i === row.length - 1 ? cell : `${cell},`.padEnd((widths[i] ?? 0) + 1))).join(''),
    )
    .map((line) => `${line}\n`)
    .join('');
}
