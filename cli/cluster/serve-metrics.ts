// /metrics and /healthz of a component that has no server of its own, in plain text on an address of this machine.
import { componentMetrics } from '../../client/metrics.ts';
import { UserError } from '../user-error.ts';
import { http } from '../../lib/node-http.ts';

/** `address`: `127.0.0.1:10259`. Resolves when it listens. */
export async function serveMetrics(address: string): Promise<{ close(): void }> {
  const match = /^(.*):(\d{1,5})$/.exec(address);
  if (!match) throw new UserError(`--metrics-bind-address is ADDRESS:PORT, not ${JSON.stringify(address)}`);
  const server = http.createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    if (request.method !== 'GET') response.writeHead(405).end();
    else if (path === '/metrics') {
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
      response.end(componentMetrics.render());
    } else if (path === '/healthz' || path === '/livez' || path === '/readyz') {
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' }).end('ok');
    } else response.writeHead(404).end();
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new UserError(`--metrics-bind-address ${address}: ${error.message}`)));
    server.listen(Number(match[2]), match[1], () => resolve());
  });
  return {
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
