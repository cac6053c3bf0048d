// Upgraded connections (exec, attach, port-forward): the request goes on to the runtime's streaming server as it came,
// and from then on bytes are only passed both ways. Nothing here knows WebSocket or SPDY.
//   no buffer of our own: a slow side slows the other down (stream back-pressure)
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';

/** Resolves when both sides are closed. `url` is the one that the runtime gave: `http://127.0.0.1:1234/exec/token`. */
export function passThrough(request: IncomingMessage, client: Duplex, head: Buffer, url: string): Promise<void> {
  const target = new URL(url);
  return new Promise((resolve) => {
    const upstream = connect({ host: target.hostname, port: Number(target.port || 80) });
    let isAnswered = false;
    const end = () => {
      client.destroy();
      upstream.destroy();
      resolve();
    };
    upstream.once('connect', () => {
      upstream.setNoDelay(true);
      const lines = [`${request.method} ${target.pathname}${target.search} HTTP/1.1`, `host: ${target.host}`];
      for (let index = 0; index < request.rawHeaders.length; index += 2) {
        const name = request.rawHeaders[index] as string;
        if (name.toLowerCase() === 'host') continue;
        lines.push(`${name}: ${request.rawHeaders[index + 1]}`);
      }
      upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
      if (head.length > 0) upstream.write(head);
      upstream.pipe(client);
      client.pipe(upstream);
    });
    upstream.once('data', () => {
      isAnswered = true;
    });
    upstream.once('error', (error) => {
      if (!isAnswered && client.writable)
        client.write(plainAnswer(502, `cannot reach the runtime's streaming server: ${error.message}`));
      end();
    });
    client.once('error', end);
    // A side that has ended may still be read from; only when it is closed is the other one too.
    upstream.once('close', end);
    client.once('close', end);
  });
}

const reasons: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
};

/** A whole HTTP answer for a connection that was not upgraded. */
export function plainAnswer(code: number, message: string): string {
  const body = `${message}\n`;
  return [
    `HTTP/1.1 ${code} ${reasons[code] ?? 'Error'}`,
    'content-type: text/plain; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    '',
    body,
  ].join('\r\n');
}
