// How a node that knows a token and the hash of a CA's key comes to know the cluster: it asks for ConfigMap cluster-info without trusting anybody,
// believes what the token's holder has signed, if its CA is the one that the hash is of, and asks again with that CA.
import type { ConfigMap } from '../../api/types/core-v1.ts';
import { createClient } from '../../client/index.ts';
import { refs } from '../../client/refs.ts';
import { parseYaml } from '../../api/yaml.ts';
import { sleep } from '../../lib/abort.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { UserError } from '../user-error.ts';
import { caHash, isSigned, type Token } from './token.ts';

const TRIES = 30;
const TRY_MS = 2000;

export interface Discovered {
  server: string;
  caPem: string;
}

/** Rejects with UserError when nobody answers within a minute, or what answers is not the cluster that was meant. */
export async function discover(server: string, token: Token, hash: string, signal: AbortSignal): Promise<Discovered> {
  const { caPem } = readClusterInfo(await clusterInfo({ server, insecure: true }, token, signal), token, hash);
  // From here on a connection to anybody else fails.
  const again = readClusterInfo(await clusterInfo({ server, caPem }, token, signal), token, hash);
  return { server, caPem: again.caPem };
}

/** Pure; throws UserError. */
export function readClusterInfo(map: ConfigMap, token: Token, hash: string): { caPem: string } {
  const { kubeconfig = '', [`jws-kubeconfig-${token.id}`]: signature } = map.data ?? {};
  if (!signature)
    throw new UserError(
      `the cluster does not know token ${token.id}, or it is over: make another with 'sampan token create'`,
    );
  if (!isSigned(kubeconfig, signature, token)) {
    throw new UserError(
      'what the server says of the cluster is not signed with this token: it is not the cluster that was meant',
    );
  }
  const { clusters = [] } = parseYaml(kubeconfig).value as {
    clusters?: { cluster?: { 'certificate-authority-data'?: string } }[];
  };
  const caPem = Buffer.from(clusters[0]?.cluster?.['certificate-authority-data'] ?? '', 'base64').toString();
  const found = caPem ? caHash(caPem) : 'none';
  if (found !== hash)
    throw new UserError(`the cluster's CA has the hash ${found}, not ${hash}: it is not the cluster that was meant`);
  return { caPem };
}

async function clusterInfo(
  config: { server: string; caPem?: string; insecure?: boolean },
  token: Token,
  signal: AbortSignal,
): Promise<ConfigMap> {
  const client = createClient({ ...config, userAgent: 'sampan-join' }, { clock: systemClock, log: silentLogger });
  try {
    let problem: unknown;
    for (let tries = 0; tries < TRIES && !signal.aborted; tries++) {
      if (tries > 0) await sleep(systemClock, TRY_MS, signal);
      try {
        const map = await client.resource<ConfigMap>(refs.configMaps, 'kube-public').get('cluster-info', { signal });
        // It is signed a moment after the token has been made.
        if (map.data?.[`jws-kubeconfig-${token.id}`] || tries >= 5) return map;
      } catch (error) {
        problem = error;
      }
    }
    throw new UserError(
      `${config.server} does not tell about its cluster: ${(problem as Error | undefined)?.message ?? 'interrupted'}`,
    );
  } finally {
    client.close();
  }
}
