// The query of a log request: what the API server passes on from `kubectl logs`. Pure; bad values are named.
import type { LogOptions } from './log-reader.ts';

export interface LogQuery extends LogOptions {
  previous: boolean;
}

export class QueryError extends Error {}

export function parseLogQuery(query: URLSearchParams, nowMs: number): LogQuery {
  const whole = (name: string, min: number): number | undefined => {
    const text = query.get(name);
    if (text === null || text === '') return undefined;
    const value = Number(text);
    if (!Number.isInteger(value) || value < min)
      throw new QueryError(`${name}: Invalid value: ${JSON.stringify(text)}: must be an integer of at least ${min}`);
    return value;
  };
  const flag = (name: string): boolean => {
    const text = query.get(name);
    return text !== null && text !== 'false' && text !== '0';
  };
  const sinceSeconds = whole('sinceSeconds', 1);
  const sinceTime = query.get('sinceTime');
  if (sinceSeconds !== undefined && sinceTime)
    throw new QueryError('at most one of `sinceTime` or `sinceSeconds` may be specified');
  const sinceTimeMs = sinceTime ? Date.parse(sinceTime) : undefined;
  if (sinceTimeMs !== undefined && Number.isNaN(sinceTimeMs))
    throw new QueryError(`sinceTime: Invalid value: ${JSON.stringify(sinceTime)}`);
  const stream = query.get('stream');
  return {
    tailLines: whole('tailLines', 0),
    sinceMs: sinceSeconds !== undefined ? nowMs - sinceSeconds * 1000 : sinceTimeMs,
    timestamps: flag('timestamps'),
    limitBytes: whole('limitBytes', 1),
    follow: flag('follow'),
    previous: flag('previous'),
    stream: stream === 'Stdout' ? 'stdout' : stream === 'Stderr' ? 'stderr' : undefined,
  };
}
