// sampan down: ends the cluster of a data directory, or cleans up after one that was killed.
import { existsSync, rmSync } from 'node:fs';
import { createLogger } from '../../lib/log.ts';
import { stopHolder } from '../cluster/hold.ts';
import { cleanNode } from '../cluster/clean-node.ts';
import { layoutOf } from '../layout.ts';
import { createProgress } from '../progress.ts';
import { UserError } from '../user-error.ts';

export async function down(options: { dataDir: string; purge?: boolean }): Promise<void> {
  const layout = layoutOf(options.dataDir);
  if (!existsSync(layout.dataDir)) throw new UserError(`there is no cluster in ${layout.dataDir}`);
  if (process.getuid?.() !== 0) throw new UserError('sampan down ends containers and needs root: run it with sudo');
  const progress = createProgress(process.stderr);
  const step = progress.step('ending pods and node');
  const wasRunning = await stopHolder(layout);
  // After an orderly end there is nothing left; after a crash there are containers, mounts and links.
  const removed = existsSync(layout.runtimeDir) ? await cleanNode(layout, createLogger('down', { level: 'error' })) : 0;
  step.done(wasRunning || removed > 0 ? undefined : 'nothing was running');
  if (options.purge) {
    const purge = progress.step(`deleting ${layout.dataDir}`);
    rmSync(layout.dataDir, { recursive: true, force: true });
    purge.done();
  }
}
