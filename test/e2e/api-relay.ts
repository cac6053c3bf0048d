// A client of the API server of a test host, for a process outside its network namespace: what connects to a port on our
// loopback is carried to port 6443 on the test host's. As a program it is the carrier, inside the namespace.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { type Client, createClient, loadKubeconfig } from '../../client/index.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { root, type TestHost } from './harness.ts';

export interface RelayedClient {
  client: Client;
  close(): Promise<void>;
}

/** The administrator's client. The API server may end and come back meanwhile. */
export async function connectFromOutside(host: TestHost): Promise<RelayedClient> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const [command, args] = host.command(join(root, 'scripts/node'), import.meta.filename);
  const carrier = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  await new Promise<void>((done, fail) =>
    carrier.send('listener', listener, (error) => (error ? fail(error) : done())),
  );
  await once(carrier, 'message');
  listener.close();
  const path = join(host.dataDir, 'kubeconfig');
  const { config } = loadKubeconfig({ path, env: {}, homeDir: host.dir, userAgent: 'sampan-test' });
  readFileSync(path);
  const client = createClient(
    { ...config, server: `https://127.0.0.1:${port}` },
    { clock: systemClock, log: silentLogger },
  );
  return {
    client,
    async close() {
      client.close();
      const ended = once(carrier, 'exit');
      carrier.kill();
      await ended;
    },
  };
}

if (process.argv[1] === import.meta.filename && process.send) {
  process.once('message', (_, listener) => {
    (listener as Server).on('connection', (near) => {
      const far = connect(6443, '127.0.0.1');
      near.pipe(far).pipe(near);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        one.on('error', () => other.destroy());
        one.on('close', () => other.destroy());
      }
    });
    process.send?.('carrying');
  });
  process.once('disconnect', () => process.exit());
}
