// Structured logs: a constant message with fields. Wraps pino so that components depend on this small interface only.
import { pino } from 'pino';

export type LogFields = Record<string, unknown>;

export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A logger whose lines carry `fields` too. */
  child(fields: LogFields): Logger;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Writes JSON lines to file descriptor `fd` (default 2). An `err` field is written with type, message and stack. */
export function createLogger(component: string, options: { level?: LogLevel; fd?: number } = {}): Logger {
  return pino(
    { level: options.level ?? 'info', base: { component }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: options.fd ?? 2, sync: true }),
  );
}

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
