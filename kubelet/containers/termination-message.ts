// What a container left as its last words: the file at terminationMessagePath, or the end of its log.
// https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { ObservedContainer } from '../pods/observed.ts';
import { parseLogLine } from '../server/log-format.ts';

const MAX_FILE_BYTES = 4096;
const MAX_LOG_BYTES = 2048;
const MAX_LOG_LINES = 80;

export function readTerminationMessage(container: ObservedContainer): string {
  const fromFile = container.terminationMessageHostPath
    ? head(container.terminationMessageHostPath, MAX_FILE_BYTES)
    : '';
  if (fromFile !== '' || container.exitCode === 0) return fromFile;
  if (container.terminationMessagePolicy !== 'FallbackToLogsOnError' || !container.logPath) return fromFile;
  const lines = tail(container.logPath, 64 * 1024).split('\n');
  const texts = lines.map((line) => parseLogLine(line)).filter((each) => each !== undefined);
  const text = texts
    .slice(-MAX_LOG_LINES)
    .map((each) => each.content.toString('utf8') + (each.isPartial ? '' : '\n'))
    .join('');
  return Buffer.from(text).subarray(-MAX_LOG_BYTES).toString('utf8');
}

const head = (path: string, bytes: number) => slice(path, () => ({ position: 0, bytes }));
const tail = (path: string, bytes: number) =>
  slice(path, (size) => ({ position: Math.max(0, size - bytes), bytes: Math.min(size, bytes) }));

function slice(path: string, where: (size: number) => { position: number; bytes: number }): string {
  let fd: number;
  try {
    // A link is not what the runtime or this kubelet has put there.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return '';
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return '';
    const { position, bytes } = where(stat.size);
    const buffer = Buffer.alloc(bytes);
    return buffer.subarray(0, readSync(fd, buffer, 0, bytes, position)).toString('utf8');
  } finally {
    closeSync(fd);
  }
}
