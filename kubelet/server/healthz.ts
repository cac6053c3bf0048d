// Plain HTTP `/healthz` for whoever watches over the process, on an address of its own.
import type { Logger } from '../../lib/log.ts';
import { http } from '../../lib/node-http.ts';

export function serveHealth(
  { address, port }: { address: string; port: number },
  problems: () => string[],
  log: Logger,
  signal: AbortSignal,
): void {
  const server = http.createServer((request, response) => {
    const isHealth = /^\/healthz(\/(ping|log|syncloop))?$/.test((request.url ?? '').split('?')[0] ?? '');
    const found = isHealth ? problems() : ['404 page not found'];
    response.statusCode = isHealth ? (found.length === 0 ? 200 : 500) : 404;
    response.setHeader('content-type', 'text/plain; charset=utf-8');
    response.end(found.length === 0 ? 'ok' : found.join('\n'));
  });
  server.on('error', (err) => log.error({ err, address, port }, 'cannot serve /healthz'));
  server.listen(port, address);
  signal.addEventListener(
    'abort',
    () => {
      server.close();
      server.closeAllConnections();
    },
    { once: true },
  );
}
