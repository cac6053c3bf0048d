// Bootstrap tokens: when they are over, and the signatures by which a node that joins knows the cluster's CA
// (https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/). Pure.
import { createHmac } from 'node:crypto';
import type { ConfigMap, Secret } from '../../api/types/core-v1.ts';

export const TOKEN_TYPE = 'bootstrap.kubernetes.io/token';
const SIGNATURE = 'jws-kubeconfig-';

const read = (secret: Secret, key: string) => Buffer.from(secret.data?.[key] ?? '', 'base64').toString('utf8');

/** Milliseconds since the epoch: Infinity for a token without an end, 0 for one whose end cannot be read. */
export function tokenExpiresAt(secret: Secret): number {
  const text = read(secret, 'expiration');
  if (text === '') return Number.POSITIVE_INFINITY;
  const time = Date.parse(text);
  return Number.isNaN(time) ? 0 : time;
}

/** The data of ConfigMap cluster-info with a signature per token that may sign, and none besides. */
export function signedClusterInfo(
  map: ConfigMap,
  tokens: readonly Secret[],
  nowMs: number,
): Record<string, string> | undefined {
  const content = map.data?.kubeconfig;
  if (content === undefined) return undefined;
  const data = Object.fromEntries(Object.entries(map.data ?? {}).filter(([key]) => !key.startsWith(SIGNATURE)));
  for (const secret of tokens) {
    const id = read(secret, 'token-id');
    const key = read(secret, 'token-secret');
    const maySign = read(secret, 'usage-bootstrap-signing') === 'true' && tokenExpiresAt(secret) > nowMs;
    if (maySign && id && key && secret.metadata.name === `bootstrap-token-${id}`) {
      data[SIGNATURE + id] = detachedSignature(content, id, `${id}.${key}`);
    }
  }
  return data;
}

/** A JWS with HS256 whose payload is left out: the reader has it beside. */
function detachedSignature(content: string, id: string, token: string): string {
  const header = Buffer.from(JSON.stringify({ alg: 'HS256', kid: id })).toString('base64url');
  const payload = Buffer.from(content).toString('base64url');
  return `${header}..${createHmac('sha256', token).update(`${header}.${payload}`).digest('base64url')}`;
}
