// What a build step prints, while it prints it: the log that its shim writes in CRI's format, read as it grows.
import { closeSync, type FSWatcher, openSync, readSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { StringDecoder } from 'node:string_decoder';

const READ_BYTES = 64 * 1024;
/** What is kept of the output for the message of a step that fails. */
const TAIL_CHARACTERS = 1000;

/** `end` reads what is left, once, and returns the last of all that was printed. */
export function followOutput(path: string, onOutput: (text: string) => void): { end(): string } {
  const decoder = new StringDecoder('utf8');
  const chunk = Buffer.alloc(READ_BYTES);
  let fd: number | undefined;
  let rest = '';
  let tail = '';
  let watcher: FSWatcher | undefined = watch(dirname(path), (_event, name) => {
    if (name === basename(path)) read();
  });
  watcher.on('error', () => {});

  function read(): void {
    try {
      fd ??= openSync(path, 'r');
    } catch {
      // Nothing has been printed yet.
      return;
    }
    let text = '';
    for (let count = readSync(fd, chunk); count > 0; count = readSync(fd, chunk)) {
      const lines = (rest + decoder.write(chunk.subarray(0, count))).split('\n');
      rest = lines.pop() as string;
      text += lines.map(contentOf).join('');
    }
    if (text === '') return;
    tail = (tail + text).slice(-TAIL_CHARACTERS);
    onOutput(text);
  }

  return {
    end() {
      if (!watcher) return tail;
      watcher.close();
      watcher = undefined;
      read();
      if (fd !== undefined) closeSync(fd);
      return tail;
    },
  };
}

/** A line of the log: time, stream, P(artial) or F(ull), content. */
function contentOf(line: string): string {
  const match = /^\S+ (?:stdout|stderr) ([PF])[^ ]* (.*)$/s.exec(line);
  return match ? `${match[2]}${match[1] === 'F' ? '\n' : ''}` : '';
}
