// The thread that waits for the disk: each request is written by FileWriter, then answered.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { FileWriter, type WriteRequest } from './embedded-writer.ts';

export type WorkerRequest = WriteRequest | { kind: 'close' };

export type WorkerAnswer =
  | { kind: 'ready' }
  | { kind: 'done' }
  | { kind: 'failed'; message: string }
  | { kind: 'closed' };

function serve(port: MessagePort, path: string): void {
  const writer = new FileWriter(path);
  const answer = (message: WorkerAnswer) => port.postMessage(message);
  port.on('message', (request: WorkerRequest) => {
    if (request.kind === 'close') {
      writer.close();
      answer({ kind: 'closed' });
      port.close();
      return;
    }
    try {
      writer.write(request);
      answer({ kind: 'done' });
    } catch (error) {
      answer({ kind: 'failed', message: (error as Error).message });
    }
  });
  answer({ kind: 'ready' });
}

if (parentPort) serve(parentPort, (workerData as { path: string }).path);
