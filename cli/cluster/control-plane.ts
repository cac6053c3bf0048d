// Composition root of the control plane: store, certificates, API server, and the scheduler and controllers beside it.
import { mkdirSync } from 'node:fs';
import { createScheme } from '../../api/kinds/index.ts';
import { type ClusterPki, ensureClusterPki, renderKubeconfig } from '../../apiserver/auth/pki.ts';
import { type ClusterSigning, clusterSigning } from '../../apiserver/auth/signing.ts';
import { createApiServer, type ApiServerOptions as ServerOptions } from '../../apiserver/server.ts';
import type { Store } from '../../apiserver/storage/port.ts';
import { componentMetrics } from '../../client/metrics.ts';
import { systemClock } from '../../lib/clock.ts';
import { writeFileAtomic } from '../../lib/files.ts';
import type { Logger } from '../../lib/log.ts';
import type { Layout } from '../layout.ts';
import { UserError } from '../user-error.ts';
import { accessOptions } from './access.ts';
import type { AccessFlags } from './access-flags.ts';
import { type EncryptionOptions, encryptStore, type StoreAtRest } from './encryption.ts';
import { operationsOf } from './operations.ts';
import type { OperationsFlags } from './operations-flags.ts';
import { openStore } from './open-store.ts';

export interface ApiServerOptions {
  layout: Layout;
  /** `embedded`, `memory`, or etcd endpoints. */
  store: string;
  address: string;
  /** By which nodes and pods reach it. */
  advertiseAddress: string;
  port: number;
  serviceCidr: string;
  tlsSans: readonly string[];
  access?: AccessFlags;
  operations?: OperationsFlags;
  /** What `kubectl get componentstatuses` asks; default: each component's usual port on this host. */
  components?: ServerOptions['components'];
  /** The node of this machine, whose certificates are made with the others. */
  nodeName: string;
  nodeIp: string;
  log: Logger;
}

export interface RunningApiServer {
  /** `https://127.0.0.1:6443`, by which processes of this machine reach it. */
  url: string;
  port: number;
  pki: ClusterPki;
  /** For the controllers that give certificates and tokens. */
  signing: ClusterSigning | undefined;
  stop(): Promise<void>;
}

/** Ready to serve when it resolves; the administrator's kubeconfig is then in the data directory. */
export async function startApiServer(options: ApiServerOptions): Promise<RunningApiServer> {
  const { layout, log } = options;
  const operations = operationsOf(options.operations ?? {}, log.child({ part: 'audit' }));
  mkdirSync(layout.dataDir, { recursive: true, mode: 0o700 });
  const access = await accessOptions(options.access ?? {});
  const { advertiseAddress, nodeIp } = options;
  const [keys, opened] = await Promise.allSettled([
    ensureClusterPki(layout.pkiDir, {
      clock: systemClock,
      nodeNames: [options.nodeName],
      nodeSans: { [options.nodeName]: [nodeIp] },
      extraSans: [advertiseAddress, ...(options.address === '0.0.0.0' ? [] : [options.address]), ...options.tlsSans],
    }),
    openStore(options.store, layout, log.child({ part: 'store' })),
  ]);
  if (opened.status === 'rejected') throw opened.reason;
  const plainStore = opened.value;
  if (keys.status === 'rejected') {
    // An open store would keep the process.
    await plainStore.close();
    throw keys.reason;
  }
  const pki = keys.value;
  const scheme = createScheme();
  const store = await encryptOrClose(plainStore, {
    file: options.operations?.encryptionProviderConfig,
    defaultFile: layout.encryptionConfig,
    kinds: scheme.kinds(),
    metrics: componentMetrics,
    log,
  });
  const server = createApiServer({
    ...operations,
    // Scheduler and controllers of `sampan up` have no server of their own.
    moreMetrics: () => componentMetrics.render(),
    kmsProblems: () => store.kmsProblems(),
    store,
    scheme,
    pki,
    address: options.address,
    port: options.port,
    advertiseAddress,
    serviceCidr: options.serviceCidr,
    ...access,
    ...(options.components && { components: options.components }),
    clock: systemClock,
    random: Math.random,
    log,
  });
  const { port } = await startOrClose(server, store, options);
  const local = options.address === '0.0.0.0' ? '127.0.0.1' : options.address;
  const url = `https://${local}:${port}`;
  const kubeconfig = renderKubeconfig({
    server: url,
    caPem: pki.caPem,
    user: 'kubernetes-admin',
    credentials: pki.admin,
  });
  const stop = async () => {
    await server.stop();
    await store.close();
  };
  try {
    writeFileAtomic(layout.kubeconfig, kubeconfig, 0o600);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    port,
    pki,
    signing: clusterSigning(layout.pkiDir, systemClock, access.authentication.signingKeyPem),
    stop,
  };
}

async function encryptOrClose(store: Store, options: EncryptionOptions): Promise<StoreAtRest> {
  try {
    const encrypted = encryptStore(store, options);
    await encrypted.ready;
    return encrypted;
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function startOrClose(
  server: ReturnType<typeof createApiServer>,
  store: Store,
  options: ApiServerOptions,
): Promise<{ port: number }> {
  try {
    return await server.start();
  } catch (error) {
    await server.stop();
    await store.close();
    throw startFailure(error, options);
  }
}

/** What goes wrong most often, in words that say what to do. */
function startFailure(error: unknown, flags: { port: number; address: string }): unknown {
  const code = (error as { code?: string }).code;
  if (code === 'EADDRINUSE') {
    return new UserError(`port ${flags.port} is taken: is another API server running? Choose another with --port`);
  }
  if (code === 'EADDRNOTAVAIL')
    return new UserError(`${flags.address} is not an address of this machine: see --address`);
  return error;
}
