// One line of a CRI log: `2026-01-02T03:04:05.678901234Z stdout F text`. Pure.

export interface LogLine {
  timestamp: string;
  stream: 'stdout' | 'stderr';
  /** The line was cut by the runtime's buffer: the next one of this stream continues it. */
  isPartial: boolean;
  content: Buffer;
}

/** Undefined for what is not such a line. Without the line feed. */
export function parseLogLine(line: string | Buffer): LogLine | undefined {
  const bytes = typeof line === 'string' ? Buffer.from(line) : line;
  const first = bytes.indexOf(0x20);
  const second = bytes.indexOf(0x20, first + 1);
  if (first <= 0 || second < 0) return undefined;
  const third = bytes.indexOf(0x20, second + 1);
  const tagEnd = third < 0 ? bytes.length : third;
  const stream = bytes.toString('latin1', first + 1, second);
  if (stream !== 'stdout' && stream !== 'stderr') return undefined;
  const tags = bytes.toString('latin1', second + 1, tagEnd).split(':');
  return {
    timestamp: bytes.toString('latin1', 0, first),
    stream,
    isPartial: tags[0] === 'P',
    content: third < 0 ? Buffer.alloc(0) : bytes.subarray(third + 1),
  };
}
