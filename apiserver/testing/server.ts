// A whole API server in memory on a free port, with raw HTTPS requests as any user: what the server's tests talk to.
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createScheme } from '../../api/kinds/index.ts';
import { systemClock } from '../../lib/clock.ts';
import { type ClusterPki, ensureClusterPki, type KeyPair, renderKubeconfig } from '../auth/pki.ts';
import { type ApiServerOptions, createApiServer } from '../server.ts';
import { createMemoryStore } from '../storage/memory.ts';

export interface Answer {
  code: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  bytes: Buffer;
  body: any;
}

export interface CallOptions {
  body?: unknown;
  type?: string;
  headers?: Record<string, string>;
  /** Default: the administrator. `null`: nobody. */
  as?: KeyPair | null;
  token?: string;
}

export interface TestServer {
  pki: ClusterPki;
  url: string;
  port: number;
  dir: string;
  kubeconfig(credentials?: KeyPair): string;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  stop(): Promise<void>;
}

export async function startTestServer(options: Partial<ApiServerOptions> = {}): Promise<TestServer> {
  const dir = mkdtempSync(join(tmpdir(), 'sampan-apiserver-'));
  const pki = await ensureClusterPki(join(dir, 'pki'), { clock: systemClock, nodeNames: ['node-a'] });
  const store = options.store ?? createMemoryStore();
  const server = createApiServer({
    scheme: createScheme(),
    pki,
    port: 0,
    advertiseAddress: '192.0.2.1',
    ...options,
    store,
  });
  const { url, port } = await server.start();
  const agents = new Map<KeyPair | null, Agent>();
  const agentOf = (as: KeyPair | null) => {
    let agent = agents.get(as);
    if (!agent) {
      agent = new Agent({
        keepAlive: true,
        ca: pki.caPem,
        ...(as && { key: as.keyPem, cert: as.certificatePem }),
      });
      agents.set(as, agent);
    }
    return agent;
  };
  return {
    pki,
    url,
    port,
    dir,
    kubeconfig: (credentials = pki.admin) =>
      renderKubeconfig({ server: url, caPem: pki.caPem, user: 'tester', credentials }),
    call: (method, path, callOptions = {}) => call(port, agentOf, method, path, callOptions, pki),
    async stop() {
      for (const agent of agents.values()) agent.destroy();
      await server.stop();
      await store.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function call(
  port: number,
  agentOf: (as: KeyPair | null) => Agent,
  method: string,
  path: string,
  options: CallOptions,
  pki: ClusterPki,
): Promise<Answer> {
  const { body } = options;
  const bytes =
    body === undefined ? undefined : typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const as = options.token !== undefined ? null : options.as === undefined ? pki.admin : options.as;
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        method,
        path,
        agent: agentOf(as),
        headers: {
          ...(bytes !== undefined && {
            'content-type': options.type ?? 'application/json',
            'content-length': Buffer.byteLength(bytes),
          }),
          ...(options.token !== undefined && { authorization: `Bearer ${options.token}` }),
          ...options.headers,
        },
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const bytes = Buffer.concat(chunks);
          const text = bytes.toString('utf8');
          let parsed: unknown;
          try {
            parsed = JSON.parse(text);
          } catch {
            parsed = undefined;
          }
          resolve({ code: answer.statusCode ?? 0, headers: answer.headers, text, bytes, body: parsed });
        });
      },
    );
    sent.on('error', reject);
    sent.end(bytes);
  });
}
