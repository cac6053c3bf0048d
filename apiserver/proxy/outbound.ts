// Connections that this server opens to others: kept alive and used again, refused connections told in the words that
// clients know. What is asked of whom is the callers' affair.
import type { ClientRequest, OutgoingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate, type SecureContextOptions } from 'node:tls';
import type { Location } from './locations.ts';
import { http } from '../../lib/node-http.ts';

/** From the first packet to the end of the handshake. */
const CONNECT_TIMEOUT_MS = 30_000;

export interface OutboundTls extends Pick<SecureContextOptions, 'ca' | 'cert' | 'key'> {
  /** False: any certificate will do. */
  verify: boolean;
  /** The name that the certificate must have; default: the host. */
  serverName?: string;
}

export interface OutboundRequest extends Location {
  /** Path and query, encoded. */
  path: string;
  method: string;
  headers: OutgoingHttpHeaders;
  /** Needed when `scheme` is https. */
  tls?: OutboundTls;
  /** A connection of its own, that nobody else uses: upgrades. */
  isAlone?: boolean;
}

/** Where an address is really reached; the identity unless the cluster's network is behind something. */
export type Egress = (to: { host: string; port: number }) => { host: string; port: number };

export class Outbound {
  #http = new http.Agent({ keepAlive: true, maxFreeSockets: 16 });
  #https = new HttpsAgent({ keepAlive: true, maxFreeSockets: 16, maxCachedSessions: 100 });
  #egress: Egress;

  constructor(egress: Egress = (to) => to) {
    this.#egress = egress;
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  /** Not ended yet: the caller writes the body. It fails with `timed out` when no connection is made in time. */
  request(wanted: OutboundRequest): ClientRequest {
    const { host, port } = this.#egress(wanted);
    const common = { host, port, path: wanted.path, method: wanted.method, headers: wanted.headers, setHost: false };
    const request =
      wanted.scheme === 'http'
        ? http.request({ ...common, agent: wanted.isAlone ? false : this.#http })
        : httpsRequest({
            ...common,
            agent: wanted.isAlone ? false : this.#https,
            ...secure(wanted),
          });
    const timer = setTimeout(
      () => request.destroy(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' })),
      CONNECT_TIMEOUT_MS,
    );
    timer.unref();
    const connected = () => clearTimeout(timer);
    request.on('socket', (socket) => {
      if (!socket.connecting) connected();
      else socket.once(wanted.scheme === 'http' ? 'connect' : 'secureConnect', connected);
    });
    request.on('close', connected);
    return request;
  }
}

function secure({ tls, host }: OutboundRequest) {
  const name = tls?.serverName ?? host;
  return {
    ...(tls?.ca && { ca: tls.ca }),
    ...(tls?.cert && { cert: tls.cert }),
    ...(tls?.key && { key: tls.key }),
    rejectUnauthorized: tls?.verify ?? true,
    // An address is no name that TLS may ask for.
    servername: isIP(name) === 0 ? name : '',
    ...(tls?.serverName && { checkServerIdentity: identityOf(tls.serverName) }),
  };
}

/** Checked against the name that is meant, whatever address it was reached by. */
function identityOf(name: string) {
  return (_host: string, certificate: PeerCertificate) => checkServerIdentity(name, certificate);
}

/** What went wrong on the way to `to`, as Go programs say it: users and scripts look for these words. */
export function dialError(to: Location, error: NodeJS.ErrnoException): string {
  const address = to.host.includes(':') ? `[${to.host}]:${to.port}` : `${to.host}:${to.port}`;
  const connect: Record<string, string> = {
    ECONNREFUSED: 'connect: connection refused',
    EHOSTUNREACH: 'connect: no route to host',
    ENETUNREACH: 'connect: network is unreachable',
    ETIMEDOUT: 'i/o timeout',
  };
  const known = connect[error.code ?? ''];
  if (known) return `dial tcp ${address}: ${known}`;
  if (error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN') return `dial tcp: lookup ${to.host}: no such host`;
  if (error.code === 'ECONNRESET') return 'EOF';
  const certificate: Record<string, string> = {
    SELF_SIGNED_CERT_IN_CHAIN: 'certificate signed by unknown authority',
    DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate signed by unknown authority',
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate signed by unknown authority',
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'certificate signed by unknown authority',
    CERT_HAS_EXPIRED: 'certificate has expired or is not yet valid',
    CERT_NOT_YET_VALID: 'certificate has expired or is not yet valid',
    ERR_TLS_CERT_ALTNAME_INVALID: `certificate is not valid for ${to.host}`,
  };
  const problem = certificate[error.code ?? ''];
  if (problem) return `tls: failed to verify certificate: x509: ${problem}`;
  return error.message;
}
