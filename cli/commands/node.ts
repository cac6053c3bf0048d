// The node half of `sampan up`: waits for its configuration, runs, and ends when told to or when its parent is gone.
import { createLogger } from '../../lib/log.ts';
import { releaseAtRest } from '../../lib/rest.ts';
import { type RunningNode, startNode } from '../cluster/node.ts';
import type { FromNode, ToNode } from '../cluster/node-process.ts';

export function node(): Promise<void> {
  return new Promise((ended) => {
    let running: Promise<RunningNode> | undefined;
    // The parent died: pods go on, and the next `sampan up` takes them over.
    process.on('disconnect', () => process.exit(1));
    process.on('SIGINT', () => {});
    process.on('message', (message: ToNode) => {
      if (message.type === 'start') {
        const { config } = message;
        const log = createLogger('node', { level: config.logLevel });
        running = startNode(config, log);
        void running.then(
          () => releaseAtRest(),
          () => {},
        );
        running.catch((error: unknown) => {
          log.error({ err: error }, 'the node did not start');
          const failure: FromNode = { type: 'failed', message: error instanceof Error ? error.message : String(error) };
          process.send?.(failure, () => process.exit(1));
        });
      } else {
        void Promise.resolve(running)
          .then((started) => started?.stopWithPods())
          .finally(() => {
            ended();
            process.exit(0);
          });
      }
    });
  });
}
