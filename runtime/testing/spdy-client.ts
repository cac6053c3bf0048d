// Streaming URLs as clients of Go open them: SPDY/3.1 over an upgraded POST. Not used by the product.
import { request } from 'node:http';
import { SpdyConnection, type SpdyStream } from '../../lib/spdy/connection.ts';

export function openSpdy(url: string, protocol: string): Promise<SpdyConnection> {
  const headers = { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': protocol };
  return new Promise((resolve, reject) => {
    request(url, { method: 'POST', headers })
      .on('upgrade', (_response, socket) => resolve(new SpdyConnection(socket, { role: 'client', onStream: () => {} })))
      .on('response', (response) => reject(new Error(`${response.statusCode}`)))
      .on('error', reject)
      .end();
  });
}

/** Opens the channels of exec or attach, in this order. */
export async function openChannels(
  url: string,
  types: readonly string[],
): Promise<{ connection: SpdyConnection; streams: Record<string, SpdyStream> }> {
  const connection = await openSpdy(url, 'v4.channel.k8s.io');
  const streams = Object.fromEntries(types.map((type) => [type, connection.open({ streamtype: [type] })]));
  return { connection, streams };
}

/** One connection to `port` over a port-forward: its error and its data stream. */
export function forwardTo(connection: SpdyConnection, port: number, id = '1'): [error: SpdyStream, data: SpdyStream] {
  return ['error', 'data'].map((type) =>
    connection.open({ streamtype: [type], port: [String(port)], requestid: [id] }),
  ) as [SpdyStream, SpdyStream];
}
