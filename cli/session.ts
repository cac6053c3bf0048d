// What every command that talks to a cluster needs: a client from the kubeconfig, the namespace, the resource catalogue.
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createClient, loadKubeconfig } from '../client/index.ts';
import type { Client, ClientConfig } from '../client/port.ts';
import { systemClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { UserError } from './user-error.ts';

export interface SessionOptions {
  kubeconfig?: string;
  context?: string;
  namespace?: string;
  /** Data directory of a local cluster, whose admin kubeconfig is the last resort. */
  dataDir: string;
}

export interface Session {
  client: Client;
  namespace: string;
}

/** The flag, KUBECONFIG, the local cluster's, ~/.kube/config: the first that is there. */
function kubeconfigChoice(options: SessionOptions): { path?: string } {
  if (options.kubeconfig) return { path: options.kubeconfig };
  if (process.env['KUBECONFIG']) return {};
  const local = join(options.dataDir, 'kubeconfig');
  if (existsSync(local)) return { path: local };
  if (existsSync(join(homedir(), '.kube', 'config'))) return {};
  throw new UserError(`no cluster found: start one with 'sampan up', or name a kubeconfig with --kubeconfig`);
}

export function openSession(options: SessionOptions): Session & { config: ClientConfig } {
  const loaded = loadKubeconfig({
    ...kubeconfigChoice(options),
    context: options.context,
    env: process.env,
    homeDir: homedir(),
    userAgent: 'sampan-cli',
  });
  const client = createClient(loaded.config, { clock: systemClock, log: silentLogger });
  return { client, config: loaded.config, namespace: options.namespace ?? loaded.namespace };
}
